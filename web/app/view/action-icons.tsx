import { Icon } from './icons.tsx';

export function CopyIcon() {
  return (
    <Icon>
      <path d="M9 9h11v11H9zM5 15H4V4h11v1" />
    </Icon>
  );
}

export function LinkIcon() {
  return (
    <Icon>
      <path d="M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1" />
    </Icon>
  );
}

export function ReplyIcon() {
  return (
    <Icon>
      <path d="M10 7 4 12l6 5M4 12h9c4 0 6 2 7 6" />
    </Icon>
  );
}

export function EditIcon() {
  return (
    <Icon>
      <path d="m5 19 1-4L16 5l3 3L9 18zM14 7l3 3" />
    </Icon>
  );
}

export function DeleteIcon() {
  return (
    <Icon>
      <path d="M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13M10 11v5M14 11v5" />
    </Icon>
  );
}
