/** The sessions of a user. */
export function UserView({ name }: { name: string }) {
  return (
    <section class="panel">
      <h1>
        User <bdi>{name}</bdi>
      </h1>
    </section>
  );
}
