import '../web/build.mjs';

/** The tests are of the chat as it is: that has been seen to by now. */
export function setup(): void {}
