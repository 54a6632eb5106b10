import icon from '../icon.svg';
import { forgetKey, key } from '../state/access.ts';
import { hashOf, open, routeOfTerm } from '../state/route.ts';

/** The name of the page, and the field to find a user or a session. */
export function Header() {
  return (
    <header class="page-header">
      <a class="wordmark" href={hashOf({ kind: 'work' })} aria-label="Pumphouse, the Hub at work">
        <img src={icon} alt="" width="28" height="28" />
        <span>
          pump<b>house</b>
        </span>
      </a>
      <Find />
      {key.value !== '' && (
        <button type="button" class="quiet" onClick={forgetKey}>
          Forget the key
        </button>
      )}
    </header>
  );
}

function Find() {
  const find = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem('term') as HTMLInputElement;
    if (field.value.trim() !== '') open(routeOfTerm(field.value));
  };
  return (
    <search class="find">
      <form onSubmit={find}>
        <label class="visually-hidden" for="term">
          User or session
        </label>
        <input
          id="term"
          name="term"
          type="search"
          placeholder="User or session"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
        <button type="submit">Find</button>
      </form>
    </search>
  );
}
