/*
 * A closed loop of HTTP/1.1 requests: each connection asks again when it has its answer. With a
 * rate, an open loop: requests are due at even intervals, whether or not answers come.
 *
 *   load [-b BYTES] [-f FILE]... [-m MOST] [-n | -r RATE] [-t] [-w BYTES] PORT CONNECTIONS
 *        WARM_UP_S SECONDS STATUS PATH [FIELD-LINE...]
 *
 *   -b  POST a body of so many bytes
 *   -f  add a field line to each request: one of the lines of FILE, in turn; up to four files
 *   -m  end the window as soon as so many requests are answered
 *   -n  ask on a new connection each time
 *   -r  so many requests a second over all connections, which take turns. A latency counts from the
 *       time at which the request was due: one that waits for the answer before it waits in that
 *   -t  over TLS 1.3, with a full handshake for each connection (where built with -DWITH_TLS)
 *   -w  after the answer, which should be 101, echo WebSocket messages of so many bytes, at most 125
 *
 * Sixteen # in the path or in a field are another number in each request.
 *
 * After the warm-up it prints the line "measuring", after SECONDS more a line of JSON. Answers are
 * framed by Content-Length, and each must have STATUS. Whatever else happens to a connection is an
 * error: it is counted, and the connection opened again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

#define MAX_EVENTS 256
#define HEAD_BYTES 16384
#define REQUEST_BYTES 16384

/* Latencies are counted by the microsecond; what took longer than a second counts as a second. */
#define BUCKETS 1000001

#define MARK "################"
#define MAX_FILES 4
#define MAX_FRAME_BYTES 125
#define LINE_BYTES 4096

enum phase { HANDSHAKE, HEAD, BODY, FRAME };

struct file {
    char **lines;
    size_t count, next;
};

struct connection {
    int fd;
    int is_waiting; /* for room in the socket */
    int is_idle;    /* until its next request is due */
    enum phase phase;
    int64_t asked_ns; /* or when it was due */
    uint64_t turn;    /* of the next request, of all connections' */
    int status;
    size_t sent;      /* bytes of the request */
    size_t body_size; /* bytes of the answer's */
    size_t body_left; /* bytes */
    size_t held;      /* bytes of a head, or of a frame, that is not complete */
#ifdef WITH_TLS
    SSL *tls;
#endif
    char head[HEAD_BYTES];
    size_t request_size;
    char request[REQUEST_BYTES];
};

struct tally {
    uint64_t requests, errors, unexpected, bytes;
    int64_t max_us;
    uint32_t by_us[BUCKETS];
};

static struct tally tally;
static struct sockaddr_in address;
static struct file files[MAX_FILES];
static size_t file_count;
static char *fixed_lines, last_lines[64]; /* of each request */
static char *sent_body, frame[6 + MAX_FRAME_BYTES], message[MAX_FRAME_BYTES];
static size_t sent_body_bytes, message_bytes;
static int expected_status, is_new_each_time, is_tls;
static int epoll, turn_timer;
static double rate;        /* requests a second; 0 in a closed loop */
static uint64_t most;      /* requests in the window; 0 for any number */
static int64_t started_ns; /* when the first turn was due; 0 before that */
static struct connection *all;
static size_t connection_count;
#ifdef WITH_TLS
static SSL_CTX *tls_context;
#endif

static void die(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- the socket, or TLS over it: what was done in bytes; 0 for nothing now, -1 for its end -------- */

static ssize_t done(ssize_t size) {
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return size > 0 ? size : -1;
}

#ifdef WITH_TLS
static ssize_t done_by_tls(const struct connection *connection, int result) {
    int why = SSL_get_error(connection->tls, result);
    if (result > 0)
        return result;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
#endif

static ssize_t get(struct connection *connection, char *into, size_t room) {
#ifdef WITH_TLS
    if (is_tls)
        return done_by_tls(connection, SSL_read(connection->tls, into, (int)room));
#endif
    return done(recv(connection->fd, into, room, 0));
}

static ssize_t put(struct connection *connection, struct iovec *parts, size_t count) {
#ifdef WITH_TLS
    if (is_tls) {
        int last = parts[0].iov_len > 0 ? 0 : (int)count - 1;
        return done_by_tls(connection, SSL_write(connection->tls, parts[last].iov_base,
                                                 (int)parts[last].iov_len));
    }
#endif
    struct msghdr whole = {.msg_iov = parts, .msg_iovlen = count};
    return done(sendmsg(connection->fd, &whole, MSG_NOSIGNAL));
}

/* Whether something has arrived of which epoll does not know. */
static int has_more(const struct connection *connection) {
#ifdef WITH_TLS
    return is_tls && SSL_pending(connection->tls) > 0;
#else
    (void)connection;
    return 0;
#endif
}

static void start_tls(struct connection *connection) {
#ifdef WITH_TLS
    connection->tls = SSL_new(tls_context);
    if (connection->tls == NULL || SSL_set_fd(connection->tls, connection->fd) != 1)
        die("SSL_new");
    SSL_set_connect_state(connection->tls);
#else
    (void)connection;
#endif
}

static int shake_hands(struct connection *connection) {
#ifdef WITH_TLS
    return (int)done_by_tls(connection, SSL_do_handshake(connection->tls));
#else
    (void)connection;
    return 1;
#endif
}

static void shut(struct connection *connection) {
#ifdef WITH_TLS
    if (is_tls) {
        if (connection->phase != HANDSHAKE)
            SSL_shutdown(connection->tls);
        SSL_free(connection->tls);
    }
#endif
    close(connection->fd);
}

/* --- requests ---------------------------------------------------------------------------------- */

/* Another number, and others in each run: xorshift64*. */
static uint64_t another_number(void) {
    static uint64_t state;
    if (state == 0)
        state = 88172645463325252u ^ (uint64_t)now_ns();
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717u;
}

/* Put another number in the place of each mark. */
static void number(char *text) {
    char digits[sizeof MARK];
    for (char *mark = text; (mark = strstr(mark, MARK)) != NULL; mark += sizeof MARK - 1) {
        snprintf(digits, sizeof digits, "%016lx", (unsigned long)another_number());
        memcpy(mark, digits, sizeof MARK - 1);
    }
}

static char *add(char *to, const char *end, const char *text) {
    size_t size = strlen(text);
    if (size >= (size_t)(end - to)) {
        fprintf(stderr, "the request is too long\n");
        exit(EXIT_FAILURE);
    }
    memcpy(to, text, size + 1);
    return to + size;
}

/* Write another request: the next line of each file, and other numbers. */
static void write_request(struct connection *connection) {
    const char *end = connection->request + sizeof connection->request;
    char *to = add(connection->request, end, fixed_lines);
    for (struct file *file = files; file < files + file_count; file++) {
        to = add(to, end, file->lines[file->next]);
        file->next = file->next + 1 < file->count ? file->next + 1 : 0;
    }
    connection->request_size = (size_t)(add(to, end, last_lines) - connection->request);
    number(connection->request);
}

/* Send what the socket takes of a request; whether all is well so far. */
static int send_rest(struct connection *connection) {
    int is_framed = connection->phase == FRAME;
    size_t head = is_framed ? 6 + message_bytes : connection->request_size;
    size_t body = is_framed ? 0 : sent_body_bytes;
    while (connection->sent < head + body) {
        size_t skipped = connection->sent < head ? 0 : connection->sent - head;
        struct iovec parts[] = {
            {(is_framed ? frame : connection->request) + connection->sent,
             connection->sent < head ? head - connection->sent : 0},
            {sent_body + skipped, body - skipped},
        };
        ssize_t sent = put(connection, parts, body > 0 ? 2 : 1);
        if (sent < 0)
            return 0;
        if (sent == 0)
            break;
        connection->sent += (size_t)sent;
    }
    int must_wait = connection->sent < head + body;
    if (must_wait != connection->is_waiting) {
        connection->is_waiting = must_wait;
        uint32_t events = must_wait ? EPOLLIN | EPOLLOUT : EPOLLIN;
        struct epoll_event event = {.events = events, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) < 0)
            die("epoll_ctl");
    }
    return 1;
}

/* Send the next request, or message; whether all is well so far. */
static int ask(struct connection *connection) {
    connection->held = connection->sent = 0;
    if (connection->phase != FRAME) {
        connection->phase = HEAD;
        write_request(connection);
    }
    if (!is_new_each_time && rate == 0)
        connection->asked_ns = now_ns();
    return send_rest(connection);
}

static int is_due(uint64_t turn, int64_t at_ns) {
    return started_ns > 0 && started_ns + (int64_t)((double)turn * 1e9 / rate) <= at_ns;
}

/* The next request: now, or when it is due. Whether all is well so far. */
static int go_on_asking(struct connection *connection) {
    if (rate == 0)
        return ask(connection);
    connection->is_idle = !is_due(connection->turn, now_ns());
    if (connection->is_idle) {
        connection->held = 0;
        if (connection->phase != FRAME)
            connection->phase = HEAD;
        return 1;
    }
    connection->asked_ns = started_ns + (int64_t)((double)connection->turn * 1e9 / rate);
    connection->turn += connection_count;
    return ask(connection);
}

/* Connect and send a request. Without a listener, the program ends. */
static void open_connection(struct connection *connection) {
    int on = 1;
    connection->asked_ns = now_ns();
    connection->is_waiting = connection->is_idle = 0;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        die("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        die("epoll_ctl");
    connection->phase = is_tls ? HANDSHAKE : HEAD;
    if (is_tls)
        start_tls(connection);
    if ((is_tls ? shake_hands(connection) : go_on_asking(connection)) < 0)
        die("send");
}

/* After an error. A reset frees the port, which else waits for a minute: 28 000 errors would leave none. */
static void open_again(struct connection *connection) {
    struct linger reset = {.l_onoff = 1};
    tally.errors++;
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    shut(connection);
    open_connection(connection);
}

static void note(const struct connection *connection, int is_expected) {
    int64_t took_us = (now_ns() - connection->asked_ns) / 1000;
    tally.requests++;
    tally.unexpected += !is_expected;
    tally.bytes += connection->body_size + (connection->phase == FRAME ? 0 : sent_body_bytes);
    tally.by_us[took_us < BUCKETS ? took_us : BUCKETS - 1]++;
    if (took_us > tally.max_us)
        tally.max_us = took_us;
}

/* Read the status and the length of the body from a head of `size` bytes; whether it has both. */
static int read_head(struct connection *connection, size_t size) {
    static const char LENGTH[] = "Content-Length:";
    const char *head = connection->head, *end = head + size;
    if (size < 12 || memcmp(head, "HTTP/1.", 7) != 0)
        return 0;
    connection->status = atoi(head + 9);
    connection->body_size = 0;
    if (connection->status == 101)
        return 1;
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;) {
        line++;
        if ((size_t)(end - line) > sizeof LENGTH && !strncasecmp(line, LENGTH, sizeof LENGTH - 1)) {
            connection->body_size = strtoul(line + sizeof LENGTH - 1, NULL, 10);
            return 1;
        }
    }
    return 0;
}

/* Look for the end of the head in what is held; whether all is well so far. */
static int parse(struct connection *connection) {
    const char *end = memmem(connection->head, connection->held, "\r\n\r\n", 4);
    if (end == NULL)
        return connection->held < HEAD_BYTES;
    size_t size = (size_t)(end - connection->head) + 4, extra = connection->held - size;
    if (!read_head(connection, size) || extra > connection->body_size)
        return 0;
    connection->phase = BODY;
    connection->body_left = connection->body_size - extra;
    return 1;
}

/* Take what has arrived; whether all is well so far. */
static int take(struct connection *connection) {
    static char body[256 * 1024];
    int is_body = connection->phase == BODY;
    char *into = is_body ? body : connection->head + connection->held;
    ssize_t size = get(connection, into, is_body ? sizeof body : HEAD_BYTES - connection->held);
    if (size < 0)
        return 0;
    if (!is_body) {
        connection->held += (size_t)size;
        return connection->phase == FRAME || size == 0 || parse(connection);
    }
    if ((size_t)size > connection->body_left)
        return 0; /* more than one answer to one request */
    connection->body_left -= (size_t)size;
    return 1;
}

/* After a whole answer: the next request. Whether all is well so far. */
static int answered(struct connection *connection) {
    note(connection, connection->status == expected_status);
    if (message_bytes > 0 && connection->status == 101) {
        connection->phase = FRAME;
    } else if (is_new_each_time) {
        shut(connection);
        open_connection(connection);
        return 1;
    }
    return go_on_asking(connection);
}

/* A message that came back, and the next. Whether all is well so far. */
static int echoed(struct connection *connection) {
    note(connection, connection->held == 2 + message_bytes &&
                         !memcmp(connection->head + 2, message, message_bytes));
    return go_on_asking(connection);
}

static int step(struct connection *connection) {
    if (connection->phase == HANDSHAKE) {
        int result = shake_hands(connection);
        return result > 0 ? go_on_asking(connection) : result == 0;
    }
    if (connection->is_waiting && !send_rest(connection))
        return 0;
    if (!take(connection))
        return 0;
    if (connection->phase == BODY && connection->body_left == 0)
        return answered(connection);
    if (connection->phase == FRAME && connection->held >= 2 + message_bytes)
        return echoed(connection);
    return 1;
}

static void go_on(struct connection *connection) {
    do {
        if (!step(connection)) {
            open_again(connection);
            return;
        }
    } while (has_more(connection));
}

/* Let idle connections ask whose turn has come; one that is not idle does so by itself. */
static void take_turns(int64_t at_ns) {
    static uint64_t turn;
    for (; rate > 0 && is_due(turn, at_ns); turn++) {
        struct connection *connection = &all[turn % connection_count];
        if (connection->is_idle && !go_on_asking(connection))
            open_again(connection);
    }
}

static void run_until(int64_t end_ns) {
    struct epoll_event events[MAX_EVENTS];
    int64_t at_ns;
    uint64_t passed;
    while ((at_ns = now_ns()) < end_ns && (most == 0 || tally.requests < most)) {
        take_turns(at_ns);
        int64_t left_ns = end_ns - at_ns;
        int count = epoll_wait(epoll, events, MAX_EVENTS, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr != NULL)
                go_on(events[i].data.ptr);
            else if (read(turn_timer, &passed, sizeof passed) < 0 && errno != EAGAIN)
                die("timer");
    }
}

/* Begin the open loop: a timer ends the wait for events at each turn. */
static void start_turns(void) {
    turn_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int64_t gap_ns = (int64_t)(1e9 / rate);
    struct timespec gap = {gap_ns / 1000000000, gap_ns % 1000000000};
    struct itimerspec every = {.it_interval = gap, .it_value = gap};
    struct epoll_event event = {.events = EPOLLIN};
    if (turn_timer < 0 || timerfd_settime(turn_timer, 0, &every, NULL) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, turn_timer, &event) < 0)
        die("timer");
    started_ns = now_ns();
}

/* The latency that `share` of all requests did not exceed. */
static int64_t percentile_us(double share) {
    uint64_t wanted = (uint64_t)((double)tally.requests * share), seen = 0;
    for (int us = 0; us < BUCKETS; us++) {
        seen += tally.by_us[us];
        if (seen > wanted)
            return us;
    }
    return tally.max_us;
}

/* Write what all requests begin with, and what they end with. */
static void make_request(const char *path, char **lines) {
    static char text[REQUEST_BYTES];
    char host[64];
    const char *end = text + sizeof text;
    char *to = add(text, end, sent_body_bytes ? "POST " : "GET ");
    to = add(to, end, path);
    snprintf(host, sizeof host, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", ntohs(address.sin_port));
    to = add(to, end, host);
    for (; *lines != NULL; lines++)
        to = add(add(to, end, *lines), end, "\r\n");
    fixed_lines = text;
    if (sent_body_bytes > 0)
        snprintf(last_lines, sizeof last_lines, "Content-Length: %zu\r\n\r\n", sent_body_bytes);
    else
        strcpy(last_lines, "\r\n");
}

/* Read the lines that requests take in turn. */
static void read_lines(const char *name) {
    static char line[LINE_BYTES];
    struct file *file = &files[file_count++];
    size_t room = 0;
    FILE *input = fopen(name, "r");
    if (input == NULL)
        die(name);
    while (fgets(line, sizeof line - 2, input) != NULL) {
        strcpy(line + strcspn(line, "\n"), "\r\n");
        if (file->count == room) {
            room = room ? 2 * room : 256;
            file->lines = realloc(file->lines, room * sizeof *file->lines);
        }
        if (file->lines == NULL || (file->lines[file->count++] = strdup(line)) == NULL)
            die("read_lines");
    }
    fclose(input);
    if (file->count == 0) {
        fprintf(stderr, "%s holds no line\n", name);
        exit(EXIT_FAILURE);
    }
}

static void make_body(size_t size) {
    sent_body_bytes = size;
    sent_body = malloc(size);
    if (sent_body == NULL)
        die("malloc");
    memset(sent_body, 'x', size);
}

/* A binary message in one masked frame (RFC 6455 section 5.2). */
static void make_message(size_t size) {
    static const unsigned char KEY[] = {0x37, 0xfa, 0x21, 0x3d};
    message_bytes = size < MAX_FRAME_BYTES ? size : MAX_FRAME_BYTES;
    memset(message, 'x', message_bytes);
    frame[0] = (char)0x82;
    frame[1] = (char)(0x80 | message_bytes);
    memcpy(frame + 2, KEY, sizeof KEY);
    for (size_t i = 0; i < message_bytes; i++)
        frame[6 + i] = (char)((unsigned char)message[i] ^ KEY[i % sizeof KEY]);
}

static void make_tls(void) {
#ifdef WITH_TLS
    is_tls = 1;
    tls_context = SSL_CTX_new(TLS_client_method());
    if (tls_context == NULL || SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION) != 1)
        die("SSL_CTX_new");
#else
    fprintf(stderr, "built without TLS\n");
    exit(EXIT_FAILURE);
#endif
}

static void report(double seconds) {
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"errors\": %lu, \"unexpected\": %lu, "
           "\"body_bytes\": %lu, \"p50_us\": %ld, \"p99_us\": %ld, \"max_us\": %ld}\n",
           (unsigned long)tally.requests, seconds, (unsigned long)tally.errors,
           (unsigned long)tally.unexpected, (unsigned long)tally.bytes, (long)percentile_us(0.5),
           (long)percentile_us(0.99), (long)tally.max_us);
    fflush(stdout);
}

int main(int argc, char **argv) {
    char *program = argv[0];
    for (int option; (option = getopt(argc, argv, "+b:f:m:nr:tw:")) != -1;) {
        if (option == 'b')
            make_body(strtoul(optarg, NULL, 10));
        else if (option == 'f' && file_count < MAX_FILES)
            read_lines(optarg);
        else if (option == 'm')
            most = strtoul(optarg, NULL, 10);
        else if (option == 'n')
            is_new_each_time = 1;
        else if (option == 'r')
            rate = atof(optarg);
        else if (option == 't')
            make_tls();
        else if (option == 'w')
            make_message(strtoul(optarg, NULL, 10));
        else
            return 2;
    }
    argc -= optind - 1;
    argv += optind - 1;
    if (argc < 7 || rate < 0 || rate > 1e6 || (rate > 0 && is_new_each_time)) {
        fprintf(stderr, "usage: %s [-b BYTES] [-f FILE]... [-m MOST] [-n | -r RATE] [-t] [-w BYTES] "
                        "PORT CONNECTIONS WARM_UP_S SECONDS STATUS PATH [FIELD-LINE...]\n",
                program);
        return 2;
    }
    connection_count = strtoul(argv[2], NULL, 10);
    double warm_up_s = atof(argv[3]), seconds = atof(argv[4]);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expected_status = atoi(argv[5]);
    make_request(argv[6], argv + 7);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    all = calloc(connection_count, sizeof *all);
    if (epoll < 0 || all == NULL)
        die("start");
    for (size_t i = 0; i < connection_count; i++) {
        all[i].turn = i;
        open_connection(&all[i]);
    }
    if (rate > 0)
        start_turns();
    run_until(now_ns() + (int64_t)(warm_up_s * 1e9));
    memset(&tally, 0, sizeof tally);
    puts("measuring");
    fflush(stdout);
    int64_t from_ns = now_ns();
    run_until(from_ns + (int64_t)(seconds * 1e9));
    report((double)(now_ns() - from_ns) / 1e9);
    return EXIT_SUCCESS;
}
