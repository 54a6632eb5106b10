/** One session. */
export function SessionView({ id }: { id: string }) {
  return (
    <section class="panel">
      <h1>
        Session <bdi>{id}</bdi>
      </h1>
    </section>
  );
}
