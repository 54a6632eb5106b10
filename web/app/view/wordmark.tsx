import icon from '../icon.svg';

export function Wordmark() {
  return (
    <p class="wordmark">
      <img src={icon} alt="" width="28" height="28" />
      <span>
        pump<b>house</b>
      </span>
    </p>
  );
}
