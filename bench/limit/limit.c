// The theoretical floor of a one-room chat: a single-threaded WebSocket server on epoll. In each
// round it reads from all ready clients, joins their messages, and writes the result to each client
// with one system call. It has no rooms, no limits and no safety checks. Real servers are compared
// with it.
//
//   limit PORT            one frame per round, with newlines between its messages
//   limit PORT --frames   one frame per message; the frames of a round share a system call
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

enum { MAX_FDS = 1 << 20, EVENTS = 1024, MAX_REQUEST = 1 << 16, MAX_ROUND = 1 << 26, MAX_HEADER = 10, CLOSE = 8 };

struct client {
  bool open;               // whether the handshake is complete
  int index;               // in `open_fds`
  char *input;             // an incomplete frame or request
  size_t length, capacity; // of `input`
  char *pending;           // bytes that the socket has not accepted yet
  size_t pending_length;
};

static struct client *clients[MAX_FDS]; // by file descriptor
static int open_fds[MAX_FDS], open_count;
static char round_[MAX_ROUND];          // the messages of this round, after space for one header
static size_t round_length;
static bool frames;
static int epoll_fd;

static void watch(int fd, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(epoll_fd, operation, fd, &event);
}

// ── The handshake: SHA-1 (RFC 3174) and base64 ───────────────────────────────────────────────────

static uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

/** Hashes a text of less than 119 bytes, which fits in two blocks. */
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

/** Answers a WebSocket handshake. @return whether the request was valid. */
static bool handshake(int fd, const char *request) {
  const char *header = strcasestr(request, "sec-websocket-key:");
  char key[25] = {0}, text[64], accept[29], response[256];
  if (!header || sscanf(header + 18, " %24s", key) != 1) return false;
  uint8_t digest[21] = {0};
  int length = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  sha1(text, (size_t)length, digest);
  base64(digest, accept);
  length = snprintf(response, sizeof response,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  return send(fd, response, (size_t)length, 0) == length;
}

// ── Clients ──────────────────────────────────────────────────────────────────────────────────────

static void drop(int fd) {
  struct client *client = clients[fd];
  if (client->open) {
    open_fds[client->index] = open_fds[--open_count];
    clients[open_fds[client->index]]->index = client->index;
  }
  clients[fd] = NULL;
  free(client->input);
  free(client->pending);
  free(client);
  close(fd);
}

static void accept_clients(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd >= MAX_FDS || !(clients[fd] = calloc(1, sizeof(struct client)))) close(fd);
    else watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  }
}

/** Writes the header of a text frame so that it ends at `end`. @return its start. */
static char *header(char *end, size_t length) {
  size_t size = length < 126 ? 2 : length < 65536 ? 4 : MAX_HEADER;
  uint8_t *at = (uint8_t *)end - size;
  at[0] = 0x81;
  at[1] = size == 2 ? (uint8_t)length : size == 4 ? 126 : 127;
  for (size_t i = 2; i < size; i++) at[i] = (uint8_t)(length >> 8 * (size - 1 - i));
  return (char *)at;
}

/** Unmasks a message and adds it to the round. */
static void add_message(const char *payload, size_t length, const char mask[4]) {
  if (MAX_HEADER + round_length + MAX_HEADER + length > MAX_ROUND) return;
  char *to = round_ + MAX_HEADER + round_length;
  if (frames) {
    size_t size = length < 126 ? 2 : length < 65536 ? 4 : MAX_HEADER;
    header(to + size, length);
    to += size;
    round_length += size;
  } else if (round_length > 0) {
    *to++ = '\n';
    round_length++;
  }
  for (size_t i = 0; i < length; i++) to[i] = payload[i] ^ mask[i & 3];
  round_length += length;
}

/** Handles all complete frames. @return the number of bytes they occupy; -1 after a close frame. */
static ssize_t parse(const char *bytes, size_t available) {
  size_t at = 0;
  for (;;) {
    const uint8_t *frame = (const uint8_t *)bytes + at;
    size_t left = available - at, size = 6;
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
    if (opcode < CLOSE) add_message((const char *)frame + size, length, (const char *)frame + size - 4);
    at += size + length;
  }
}

/** Reads from a client. @return whether the connection stays open. */
static bool receive(int fd) {
  struct client *client = clients[fd];
  if (client->length == client->capacity) {
    client->capacity += client->capacity ? client->capacity : 4096;
    client->input = realloc(client->input, client->capacity + 1);
    if (!client->input) abort();
  }
  ssize_t received = recv(fd, client->input + client->length, client->capacity - client->length, 0);
  if (received <= 0) return received < 0 && errno == EAGAIN;
  client->length += (size_t)received;
  if (!client->open) {
    client->input[client->length] = 0;
    if (!strstr(client->input, "\r\n\r\n")) return client->length < MAX_REQUEST;
    if (!handshake(fd, client->input)) return false;
    client->open = true;
    client->length = 0;
    client->index = open_count;
    open_fds[open_count++] = fd;
    return true;
  }
  ssize_t parsed = parse(client->input, client->length);
  if (parsed < 0) return false;
  client->length -= (size_t)parsed;
  memmove(client->input, client->input + parsed, client->length);
  return true;
}

/** Writes pending bytes. */
static void flush(int fd) {
  struct client *client = clients[fd];
  ssize_t sent = send(fd, client->pending, client->pending_length, 0);
  if (sent <= 0) return;
  client->pending_length -= (size_t)sent;
  memmove(client->pending, client->pending + sent, client->pending_length);
  if (client->pending_length > 0) return;
  free(client->pending);
  client->pending = NULL;
  watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void deliver(int fd, const char *bytes, size_t length) {
  struct client *client = clients[fd];
  size_t written = 0;
  if (client->pending_length == 0) {
    ssize_t sent = send(fd, bytes, length, 0);
    if (sent > 0) written = (size_t)sent;
    if (written == length) return;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  }
  client->pending = realloc(client->pending, client->pending_length + length - written);
  if (!client->pending) abort();
  memcpy(client->pending + client->pending_length, bytes + written, length - written);
  client->pending_length += length - written;
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
  epoll_fd = epoll_create1(0);
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);

  static struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
    round_length = 0;
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) accept_clients(fd);
      else if (events[i].events & EPOLLIN && !receive(fd)) drop(fd);
      else if (events[i].events & EPOLLOUT) flush(fd);
      else if (!(events[i].events & EPOLLIN)) drop(fd);
    }
    if (round_length == 0) continue;
    char *bytes = round_ + MAX_HEADER;
    size_t length = round_length;
    if (!frames) {
      bytes = header(bytes, round_length);
      length += (size_t)(round_ + MAX_HEADER - bytes);
    }
    for (int i = 0; i < open_count; i++) deliver(open_fds[i], bytes, length);
  }
}
