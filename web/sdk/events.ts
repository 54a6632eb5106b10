import mittModule, { type Emitter } from 'mitt';

// Under nodenext, TypeScript types mitt's default import as the module. At run time it is the
// function.
const mitt = mittModule as unknown as typeof mittModule.default;

/**
 * Typed events on mitt. An error thrown by a handler is rethrown from a microtask: the platform
 * reports it, and the other handlers still run.
 */
export class Events<E extends Record<string, unknown>> {
  readonly #emitter: Emitter<E> = mitt<E>();

  on<T extends keyof E>(event: T, handler: (payload: E[T]) => void): () => void {
    const guarded = (payload: E[T]) => {
      try {
        handler(payload);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    };
    this.#emitter.on(event, guarded);
    return () => this.#emitter.off(event, guarded);
  }

  emit<T extends keyof E>(event: T, payload: E[T]): void {
    this.#emitter.emit(event, payload);
  }
}
