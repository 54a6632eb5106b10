import mittModule, { type Emitter } from 'mitt';

// Under nodenext mitt's default import is typed as its module, though at run time it is the function.
const mitt = mittModule as unknown as typeof mittModule.default;

/** Typed events on mitt. A handler that throws ends nothing here: its error is thrown apart, where the platform reports it. */
export class Events<E extends Record<string, unknown>> {
  readonly #emitter: Emitter<E> = mitt<E>();

  on<T extends keyof E>(event: T, handler: (told: E[T]) => void): () => void {
    const guarded = (told: E[T]) => {
      try {
        handler(told);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    };
    this.#emitter.on(event, guarded);
    return () => this.#emitter.off(event, guarded);
  }

  emit<T extends keyof E>(event: T, told: E[T]): void {
    this.#emitter.emit(event, told);
  }
}
