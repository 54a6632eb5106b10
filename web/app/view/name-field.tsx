import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';

const MOST_BYTES = 64;

interface Props {
  readonly label: string;
  readonly input: RefObject<HTMLInputElement | null>;
  readonly value?: string;
  readonly focus?: boolean;
}

/** Where a name is typed: the protocol takes 1 to 64 bytes. */
export function NameField({ label, input, value = '', focus = false }: Props) {
  useEffect(() => {
    if (focus) input.current?.focus();
  }, [focus, input]);
  return (
    <>
      <label for="name">{label}</label>
      <input
        id="name"
        ref={input}
        type="text"
        name="name"
        defaultValue={value}
        required
        dir="auto"
        autocomplete="nickname"
        autocapitalize="off"
        spellcheck={false}
        onInput={() => input.current?.setCustomValidity('')}
      />
    </>
  );
}

/** @returns the name that was typed; undefined where it is none, which the field then says. */
export function nameIn(input: HTMLInputElement | null): string | undefined {
  const name = input?.value.trim() ?? '';
  const bytes = new TextEncoder().encode(name).byteLength;
  if (bytes > 0 && bytes <= MOST_BYTES) return name;
  input?.setCustomValidity(bytes === 0 ? 'A name has at least one letter.' : 'This name is too long.');
  input?.reportValidity();
  return undefined;
}
