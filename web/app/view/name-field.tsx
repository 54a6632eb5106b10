import type { RefObject } from 'preact';
import { useLayoutEffect } from 'preact/hooks';

/** The protocol's limit for a user's name. */
const MAX_BYTES = 64;

interface Props {
  readonly label: string;
  readonly input: RefObject<HTMLInputElement | null>;
  readonly value?: string;
  readonly focus?: boolean;
}

/** The field for the user's name. */
export function NameField({ label, input, value = '', focus = false }: Props) {
  useLayoutEffect(() => {
    if (focus) input.current?.focus();
  }, [focus, input]);
  return (
    <>
      <label for="name">{label}</label>
      <input
        id="name"
        ref={input}
        type="text"
        name="username"
        defaultValue={value}
        required
        dir="auto"
        autocomplete="username"
        autocapitalize="off"
        spellcheck={false}
        onInput={() => input.current?.setCustomValidity('')}
      />
    </>
  );
}

/** Returns the name in the field. Reports an invalid name on the field and returns undefined. */
export function validName(input: HTMLInputElement | null): string | undefined {
  const name = input?.value.trim() ?? '';
  const bytes = new TextEncoder().encode(name).byteLength;
  if (bytes > 0 && bytes <= MAX_BYTES) return name;
  input?.setCustomValidity(bytes === 0 ? 'Enter a name.' : 'This name is too long.');
  input?.reportValidity();
  return undefined;
}
