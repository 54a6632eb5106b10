import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Mailbox, Mailboxes } from '../../src/hub/mailbox.ts';

type Step = { readonly post: number } | 'take' | { readonly postAnyway: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ post: fc.nat() }),
    fc.record({ postAnyway: fc.nat() }),
    fc.constant<Step>('take'),
  ) as fc.Arbitrary<Step>,
  { maxLength: 300, size: 'max' },
);

test('Mailbox behaves like a bounded array', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), steps, (capacity, script) => {
      const mailbox = new Mailbox<number>(capacity);
      const model: { item: number; ticket: number }[] = [];
      let ticket = 0;
      for (const step of script) {
        if (step === 'take') {
          expect(mailbox.ticket).toBe(model[0]?.ticket ?? Number.POSITIVE_INFINITY);
          if (model.length > 0) expect(mailbox.take()).toBe(model.shift()?.item);
        } else if ('postAnyway' in step) {
          mailbox.postAnyway(step.postAnyway, ++ticket);
          model.push({ item: step.postAnyway, ticket });
        } else {
          expect(mailbox.post(step.post, ++ticket)).toBe(model.length < capacity);
          if (model.length < capacity) model.push({ item: step.post, ticket });
        }
        expect(mailbox.size).toBe(model.length);
      }
    }),
  );
});

test('Mailbox keeps the order when it has grown, emptied and shrunk', () => {
  const mailbox = new Mailbox<number>(20_000);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10_000; i++) expect(mailbox.post(i, i)).toBe(true);
    for (let i = 0; i < 10_000; i++) expect(mailbox.take()).toBe(i);
  }
});

test('Mailboxes returns the posts of all mailboxes in arrival order', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('join', 'leave', 'send'), { maxLength: 500, size: 'max' }), (posts) => {
      const mailboxes = new Mailboxes<{ join: number; leave: number; send: number }>({
        join: 500,
        leave: 500,
        send: 500,
      });
      posts.forEach((name, order) => {
        mailboxes.post(name, order);
      });
      expect(mailboxes.size).toBe(posts.length);
      const read: number[] = [];
      for (let name = mailboxes.first(); name; name = mailboxes.first()) read.push(mailboxes.boxes[name].take());
      expect(read).toEqual(posts.map((_, order) => order));
    }),
  );
});

test('Mailboxes refuses posts to a full mailbox alone', () => {
  const mailboxes = new Mailboxes<{ send: number; leave: number }>({ send: 1, leave: 1 });
  expect(mailboxes.post('send', 1)).toBe(true);
  expect(mailboxes.post('send', 2)).toBe(false);
  expect(mailboxes.post('leave', 3)).toBe(true);
  mailboxes.postAnyway('leave', 4);
  expect(mailboxes.size).toBe(3);
});
