// How the frames between a worker and the log thread are laid out. Numbers are little-endian.

export const DRAFTS = 1;
export const REFUSED = 2;
export const COMMITTED = 3;
export const DECIDED = 4;
export const MOVED = 5;
export const SKIPPED = 6;
export const BEHIND = 7;

export const OUTCOMES = ['stored', 'duplicate', 'failed', 'unknown', 'refused'] as const;

// Offsets of the words that most frames have.
export const ATTACHMENT = 4;
export const COUNT = 8;
export const HEADER = 12;

// A message's fixed part: its time, the bytes of its data, flags, and the lengths of its texts.
export const MESSAGE = 8 + 4 + 4 + 4 * 4;
export const OUTCOME = 1 + 8;

// Flags of a message: one for JSON, then two bits for the encoding of each text.
export const JSON_FLAG = 1;
export const ENCODING_BITS = 2;
export const SENDER_ENCODINGS = 0xf << 1;
// Set if the JSON text of what a message has beside its fields follows its texts, after its length.
export const EXTRA_FLAG = 1 << 9;
// Set if the sender is that of the message before in the frame: its texts are left out.
export const SAME_SENDER_FLAG = 1 << 10;
export const ENCODINGS = ['latin1', 'utf8', 'utf16le'] as const;
export const UTF8 = 1;
export const UTF16 = 2;
