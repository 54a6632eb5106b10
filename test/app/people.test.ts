import { describe, expect, test } from 'vitest';
import { Authors, peopleOf, personLabel } from '../../web/app/state/people.ts';

const ONE = 'browserone';
const TWO = 'browsertwo';
const from = (name: string, browser = '') => ({ from: name, id: browser && `${browser}.x-1` });

describe('the authors of messages', () => {
  test('are people of one name in different browsers, of whom the reader is the first', () => {
    const authors = new Authors(ONE, () => false);
    expect(authors.authorOf(from('tim', TWO))).toEqual({ name: 'tim', number: 1, own: false });
    authors.setUser('tim');
    expect(authors.authorOf(from('tim', ONE))).toEqual({ name: 'tim', number: 1, own: true });
    expect(authors.authorOf(from('tim', TWO))).toEqual({ name: 'tim', number: 2, own: false });
    expect(authors.authorOf(from('tim'))).toEqual({ name: 'tim', number: 3, own: false });
    expect(authors.authorOf(from('bob', TWO))).toEqual({ name: 'bob', number: 1, own: false });
  });

  test('keep what they sent under an earlier name', () => {
    const authors = new Authors(ONE, () => false);
    authors.setUser('ada');
    authors.setUser('Ada Lovelace');
    expect(authors.authorOf(from('ada', ONE))).toEqual({ name: 'ada', number: 1, own: true });
  });

  test('are names where the server verifies them', () => {
    const authors = new Authors(ONE, () => true);
    authors.setUser('tim');
    expect(authors.authorOf(from('tim', TWO))).toEqual({ name: 'tim', number: 1, own: true });
  });
});

describe('the people in a room', () => {
  const labels = (members: readonly string[], ownTabs = 1, verified = false) =>
    peopleOf({ members, user: 'tim', ownTabs, verified }).map(
      (person) => `${personLabel(person)}${person.own ? '*' : ''}`,
    );

  test('have numbers if they share a name', () => {
    expect(labels(['tim', 'bob', 'tim', 'tim'])).toEqual(['bob', 'tim*', 'tim (2)', 'tim (3)']);
  });

  test('include the reader, whom the server does not list yet', () => {
    expect(labels(['bob'])).toEqual(['bob', 'tim*']);
  });

  test('count the tabs of one browser as one', () => {
    expect(labels(['tim', 'tim', 'tim'], 2)).toEqual(['tim*', 'tim (2)']);
    expect(labels(['tim'], 3)).toEqual(['tim*']);
  });

  test('are names where the server verifies them', () => {
    expect(labels(['tim', 'tim', 'bob', 'bob'], 1, true)).toEqual(['bob', 'tim*']);
  });
});
