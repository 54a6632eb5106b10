/** A guarantee that a history breaks. */
export interface Violation {
  /**
   * - `conflict`: two records have one `seq` of one log and term.
   * - `hole`: a client did not receive a message, and no gap or loss names it.
   * - `repeat`: a client received a `seq` or an id twice.
   * - `unreported`: messages that a client received are gone, and no notice names exactly them.
   * - `ends`: clients were given different ends of one term, or a message is lost that is not.
   * - `sent`: an acknowledged message is not at its `seq`.
   * - `order`: messages of one client are not in the order they were sent.
   * - `foreign`: a message that no client sent, or not like this.
   * - `unsettled`: at the end a client lacks an answer, its membership, or the newest messages.
   */
  readonly kind: 'conflict' | 'hole' | 'repeat' | 'unreported' | 'ends' | 'sent' | 'order' | 'foreign' | 'unsettled';
  /** The client, or the room where it is not about one. */
  readonly client: string;
  readonly text: string;
}
