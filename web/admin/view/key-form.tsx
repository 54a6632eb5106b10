import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { useKey as enterKey, refusal } from '../state/access.ts';

/** Asks for an API key, and says why the server needs one. */
export function KeyForm() {
  const input = useRef<HTMLInputElement>(null);
  const error = useSignal<string | undefined>(undefined);
  useEffect(() => input.current?.focus(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    error.value = enterKey(input.current?.value ?? '');
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <h1>Sign in</h1>
        <p id="key-reason" role="alert">
          {error.value ?? refusal.value}
        </p>
        <label for="key">API key</label>
        <input
          id="key"
          ref={input}
          type="password"
          autocomplete="off"
          spellcheck={false}
          aria-describedby="key-reason key-hint"
        />
        <p id="key-hint" class="muted">
          <code>pumphouse key add NAME --scopes admin</code> makes one. The key stays in this tab, and is forgotten when
          the tab is closed.
        </p>
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
