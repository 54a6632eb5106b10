/** The Hub at work. */
export function Work() {
  return (
    <section class="panel">
      <h1>The Hub at work</h1>
    </section>
  );
}
