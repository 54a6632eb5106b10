// The least that a chat for everyone can cost: a WebSocket server in one thread, on epoll, that reads what has come from all
// clients, puts it together, and writes it to each of them with one system call. It has no rooms, no limits and no safety: it
// is what a real server is measured against.
//
//   limit PORT            what came in one round is one frame, with newlines between the messages
//   limit PORT --frames   each message is a frame of its own; those of a round share the system call
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 1 << 20, EVENTS = 1024, INPUT = 1 << 16, ROUND = 1 << 26, HEADER = 10, CLOSE = 8 };

struct client {
  bool open;             // the handshake is done
  int place;             // in `everyone`
  char *input;           // what came and is not a whole frame, or not a whole request
  size_t have, room;
  char *rest;            // what it has not taken yet
  size_t owed;
};

static struct client *clients[MOST]; // by file descriptor
static int everyone[MOST], count;
static char round_[ROUND];           // behind room for the header of one frame
static size_t filled;
static bool frames;
static int poll_;

static void watch(int fd, int how, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(poll_, how, fd, &event);
}

// ── The handshake needs a SHA-1 (RFC 3174) in base64 ────────────────────────────────────────────────────────────────

static uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

/** Of a text of less than 119 bytes: two blocks at most. */
static void sha1(const char *text, size_t length, uint8_t digest[20]) {
  uint8_t blocks[128] = {0};
  size_t size = length < 56 ? 64 : 128;
  memcpy(blocks, text, length);
  blocks[length] = 0x80;
  for (int i = 0; i < 8; i++) blocks[size - 1 - i] = (uint8_t)((uint64_t)length * 8 >> 8 * i);
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (const uint8_t *block = blocks; block < blocks + size; block += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
      w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20   ? (b & c) | (~b & d)
                   : i < 40 ? b ^ c ^ d
                   : i < 60 ? (b & c) | (b & d) | (c & d)
                            : b ^ c ^ d;
      static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
      uint32_t next = rotate(a, 5) + f + e + k[i / 20] + w[i];
      e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t bytes[21], char text[29]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0; i < 7; i++) {
    uint32_t three = bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
    for (int j = 0; j < 4; j++) text[4 * i + j] = digits[three >> (18 - 6 * j) & 63];
  }
  text[27] = '=';
  text[28] = 0;
}

/** @return whether the request was one for a WebSocket. */
static bool shake(int fd, const char *request) {
  const char *header = strcasestr(request, "sec-websocket-key:");
  char key[25] = {0}, text[64], accept[29], answer[256];
  if (!header || sscanf(header + 18, " %24s", key) != 1) return false;
  uint8_t digest[21] = {0};
  int length = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  sha1(text, (size_t)length, digest);
  base64(digest, accept);
  length = snprintf(answer, sizeof answer,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  return send(fd, answer, (size_t)length, 0) == length;
}

// ── Clients ─────────────────────────────────────────────────────────────────────────────────────────────────────────

static void leave(int fd) {
  struct client *client = clients[fd];
  if (client->open) {
    everyone[client->place] = everyone[--count];
    clients[everyone[client->place]]->place = client->place;
  }
  clients[fd] = NULL;
  free(client->input);
  free(client->rest);
  free(client);
  close(fd);
}

static void welcome(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd >= MOST || !(clients[fd] = calloc(1, sizeof(struct client)))) close(fd);
    else watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  }
}

/** The header of a server's text frame, so that it ends at `end`. @return where it begins. */
static char *header(char *end, size_t length) {
  size_t size = length < 126 ? 2 : length < 65536 ? 4 : HEADER;
  uint8_t *at = (uint8_t *)end - size;
  at[0] = 0x81;
  at[1] = size == 2 ? (uint8_t)length : size == 4 ? 126 : 127;
  for (size_t i = 2; i < size; i++) at[i] = (uint8_t)(length >> 8 * (size - 1 - i));
  return (char *)at;
}

/** Adds a message to the round, without its mask. */
static void add(const char *payload, size_t length, const char mask[4]) {
  if (HEADER + filled + HEADER + length > ROUND) return;
  char *to = round_ + HEADER + filled;
  if (frames) {
    size_t size = length < 126 ? 2 : length < 65536 ? 4 : HEADER;
    header(to + size, length);
    to += size;
    filled += size;
  } else if (filled > 0) {
    *to++ = '\n';
    filled++;
  }
  for (size_t i = 0; i < length; i++) to[i] = payload[i] ^ mask[i & 3];
  filled += length;
}

/** Takes the whole frames at the start of what came. @return how many bytes they are; -1 when the client says goodbye. */
static ssize_t take(const char *bytes, size_t have) {
  size_t at = 0;
  for (;;) {
    const uint8_t *frame = (const uint8_t *)bytes + at;
    size_t left = have - at, size = 6;
    if (left < size) return (ssize_t)at;
    size_t length = frame[1] & 127;
    size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    size += extended;
    if (left < size) return (ssize_t)at;
    if (extended) length = 0;
    for (size_t i = 0; i < extended; i++) length = length << 8 | frame[2 + i];
    if (left < size + length) return (ssize_t)at;
    int opcode = frame[0] & 15;
    if (opcode == CLOSE) return -1;
    if (opcode < CLOSE) add((const char *)frame + size, length, (const char *)frame + size - 4);
    at += size + length;
  }
}

/** Reads what came from a client. @return whether it stays. */
static bool hear(int fd) {
  struct client *client = clients[fd];
  if (client->have == client->room) {
    client->room += client->room ? client->room : 4096;
    client->input = realloc(client->input, client->room + 1);
    if (!client->input) abort();
  }
  ssize_t got = recv(fd, client->input + client->have, client->room - client->have, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  client->have += (size_t)got;
  if (!client->open) {
    client->input[client->have] = 0;
    if (!strstr(client->input, "\r\n\r\n")) return client->have < INPUT;
    if (!shake(fd, client->input)) return false;
    client->open = true;
    client->have = 0;
    client->place = count;
    everyone[count++] = fd;
    return true;
  }
  ssize_t taken = take(client->input, client->have);
  if (taken < 0) return false;
  client->have -= (size_t)taken;
  memmove(client->input, client->input + taken, client->have);
  return true;
}

/** Writes on what a client has not taken. */
static void go_on(int fd) {
  struct client *client = clients[fd];
  ssize_t went = send(fd, client->rest, client->owed, 0);
  if (went <= 0) return;
  client->owed -= (size_t)went;
  memmove(client->rest, client->rest + went, client->owed);
  if (client->owed > 0) return;
  free(client->rest);
  client->rest = NULL;
  watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void tell(int fd, const char *bytes, size_t length) {
  struct client *client = clients[fd];
  size_t went = 0;
  if (client->owed == 0) {
    ssize_t sent = send(fd, bytes, length, 0);
    if (sent > 0) went = (size_t)sent;
    if (went == length) return;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  }
  client->rest = realloc(client->rest, client->owed + length - went);
  if (!client->rest) abort();
  memcpy(client->rest + client->owed, bytes + went, length - went);
  client->owed += length - went;
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  if (port <= 0 || port > 65535) return fprintf(stderr, "usage: limit PORT [--frames]\n"), 2;
  frames = argc > 2 && strcmp(argv[2], "--frames") == 0;
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("limit"), 1;
  poll_ = epoll_create1(0);
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);

  static struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(poll_, events, EVENTS, -1);
    filled = 0;
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) welcome(fd);
      else if (events[i].events & EPOLLIN && !hear(fd)) leave(fd);
      else if (events[i].events & EPOLLOUT) go_on(fd);
      else if (!(events[i].events & EPOLLIN)) leave(fd);
    }
    if (filled == 0) continue;
    char *bytes = round_ + HEADER;
    size_t length = filled;
    if (!frames) {
      bytes = header(bytes, filled);
      length += (size_t)(round_ + HEADER - bytes);
    }
    for (int i = 0; i < count; i++) tell(everyone[i], bytes, length);
  }
}
