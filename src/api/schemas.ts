import * as v from 'valibot';
import { type Json, ROOM_BYTES, USER_BYTES } from '../protocol/v1.ts';
import { fields, isData, MESSAGE_BYTES, rules } from '../wire/v1.ts';

/** A string of 1 to `max` bytes of UTF-8. */
export const name = (max: number) => {
  const rule = `must be a string of 1 to ${max} bytes`;
  return v.pipe(v.string(rule), v.nonEmpty(rule), v.maxBytes(max, rule));
};

export const room = v.pipe(name(ROOM_BYTES), v.description('A room.'), v.examples(['orders:42']));

export const user = v.pipe(name(USER_BYTES), v.description('A name by which the members of a room know a user.'));

const seqRule = rules.seq;

/** The number of a message in its room. */
export const seq = v.pipe(
  v.number(seqRule),
  v.safeInteger(seqRule),
  v.minValue(0, seqRule),
  v.description('The number of a message in its room. Messages are numbered from 1 without a hole.'),
);

export const epoch = v.pipe(
  v.string(),
  v.description("The life of the room's log. Numbers of one epoch cannot be compared with those of another."),
);

/** A message's own fields. */
export const message = {
  data: v.pipe(
    v.custom<Json>((value) => isData(value), rules.data),
    v.description(
      `Any JSON value, at most ${MESSAGE_BYTES} bytes without white space and ${fields.depth} levels deep.`,
    ),
  ),
  from: v.exactOptional(
    v.pipe(user, v.description("The sender, as the members of the room see it. Defaults to the key's name.")),
  ),
  id: v.exactOptional(
    v.pipe(
      name(fields.id),
      v.description(
        "The program's own name for the message. A message with the id of an earlier one, in the same room and by a key of the same name, counts as a retry: it is not stored again.",
      ),
    ),
  ),
};

/** A number in a query. */
export const numeric = (low: number, high: number, rule: string, description: string) =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,16}$/, rule),
    v.transform(Number),
    v.safeInteger(rule),
    v.minValue(low, rule),
    v.maxValue(high, rule),
    v.description(description),
    v.metadata({ integer: { minimum: low, maximum: high } }), // for the API's description
  );

export const problemDetails = v.object({
  type: v.pipe(v.string(), v.description('The kind of the problem: a section of docs/api.md.')),
  title: v.string(),
  status: v.pipe(v.number(), v.integer()),
  detail: v.pipe(v.string(), v.description('What is wrong, for people.')),
  field: v.exactOptional(
    v.pipe(v.string(), v.description('The path of the invalid field, such as `messages.3.data`.')),
  ),
  parameter: v.exactOptional(v.pipe(v.string(), v.description('The invalid parameter of the path or the query.'))),
  position: v.exactOptional(
    v.pipe(v.number(), v.description('Where the body stops being JSON, in UTF-16 code units.')),
  ),
  scope: v.exactOptional(v.pipe(v.string(), v.description('The scope that the key lacks.'))),
  room: v.exactOptional(v.pipe(v.string(), v.description('The room that the key does not allow.'))),
});

/** A message that is in its room's log. */
const published = v.object({
  room,
  id: v.pipe(v.string(), v.description('The id of the message: the given one, or a new one.')),
  seq,
  epoch: v.exactOptional(epoch),
  duplicate: v.exactOptional(
    v.pipe(v.literal(true), v.description('The message was in the log before: this was a retry.')),
  ),
});

const notPublished = v.object({ room, id: v.string(), problem: problemDetails });

export const responses = {
  published,
  results: v.object({
    results: v.pipe(
      v.array(v.union([published, notPublished])),
      v.description('One for each message, in the order of the request.'),
    ),
  }),
  head: v.object({
    room,
    epoch,
    seq: v.pipe(seq, v.description('The newest message; 0 before the first one.')),
    first: v.pipe(seq, v.description('The oldest message that is stored; `seq + 1` if none is.')),
    members: v.pipe(v.number(), v.integer(), v.description('How many clients are in the room, on all nodes.')),
  }),
  messages: v.object({
    room,
    epoch: v.exactOptional(epoch),
    messages: v.pipe(
      v.array(
        v.object({
          seq,
          id: v.pipe(v.string(), v.description("The sender's own name for the message; empty where it gave none.")),
          from: v.string(),
          at: v.pipe(v.number(), v.description('When it was stored, in milliseconds since 1970.')),
          data: v.exactOptional(v.pipe(v.any(), v.description('Any JSON value; absent if the message is deleted.'))),
          reply: v.exactOptional(v.pipe(v.number(), v.description('The message that this one replies to.'))),
          edited: v.exactOptional(v.pipe(v.number(), v.description('The number of the last edit.'))),
          deleted: v.exactOptional(v.literal(true)),
          reactions: v.exactOptional(
            v.array(
              v.object({
                reaction: v.string(),
                count: v.pipe(v.number(), v.description('How many users have reacted so.')),
                users: v.pipe(v.array(v.string()), v.description('The first 100 of them.')),
              }),
            ),
          ),
          changed: v.exactOptional(v.pipe(v.number(), v.description('The number of the last change.'))),
        }),
      ),
      v.description('Oldest first. Fewer than `limit` where they are long: about 64 KiB at most.'),
    ),
    from: v.pipe(
      seq,
      v.description(
        'The first number that the answer covers. A number up to `to` without a message is that of a change.',
      ),
    ),
    to: v.pipe(seq, v.description('The last one.')),
    more: v.pipe(v.boolean(), v.description('Whether there are more in the direction of the request.')),
  }),
};
