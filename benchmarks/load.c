/*
 * A closed loop of HTTP/1.1 requests: each connection asks again when it has its answer.
 *
 *   load PORT CONNECTIONS WARM_UP_S SECONDS STATUS PATH [FIELD-LINE...]
 *
 * After the warm-up it prints the line "measuring", after SECONDS more a line of JSON. Answers are
 * framed by Content-Length, and each must have STATUS. Whatever else happens to a connection is an
 * error: it is counted, and the connection opened again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define HEAD_BYTES 16384
#define REQUEST_BYTES 16384

/* Latencies are counted by the microsecond; what took longer than a second counts as a second. */
#define BUCKETS 1000001

struct connection {
    int fd;
    int64_t asked_ns;
    int is_in_body;
    int status;
    size_t body_left; /* bytes */
    size_t held;      /* bytes of a head that is not complete */
    char head[HEAD_BYTES];
};

struct tally {
    uint64_t requests, errors, unexpected;
    int64_t max_us;
    uint32_t by_us[BUCKETS];
};

static struct tally tally;
static struct sockaddr_in address;
static char request[REQUEST_BYTES];
static size_t request_bytes;
static int expected_status;
static int epoll;

static void die(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Send the next request; whether the socket took it. A closed loop leaves its buffer empty. */
static int ask(struct connection *connection) {
    connection->is_in_body = 0;
    connection->held = 0;
    connection->asked_ns = now_ns();
    ssize_t sent = send(connection->fd, request, request_bytes, MSG_NOSIGNAL);
    return sent == (ssize_t)request_bytes;
}

/* Connect and ask. Nobody listening, or nobody taking a request, ends the program. */
static void open_connection(struct connection *connection) {
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        die("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        die("epoll_ctl");
    if (!ask(connection))
        die("send");
}

static void open_again(struct connection *connection) {
    tally.errors++;
    close(connection->fd);
    open_connection(connection);
}

static void note(const struct connection *connection) {
    int64_t took_us = (now_ns() - connection->asked_ns) / 1000;
    tally.requests++;
    tally.unexpected += connection->status != expected_status;
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
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;) {
        line++;
        if ((size_t)(end - line) > sizeof LENGTH && !strncasecmp(line, LENGTH, sizeof LENGTH - 1)) {
            connection->body_left = strtoul(line + sizeof LENGTH - 1, NULL, 10);
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
    if (!read_head(connection, size) || extra > connection->body_left)
        return 0;
    connection->is_in_body = 1;
    connection->body_left -= extra;
    return 1;
}

/* Take what has arrived; whether all is well so far. */
static int take(struct connection *connection) {
    static char body[64 * 1024];
    size_t room = connection->is_in_body ? sizeof body : HEAD_BYTES - connection->held;
    char *into = connection->is_in_body ? body : connection->head + connection->held;
    ssize_t size = recv(connection->fd, into, room, MSG_DONTWAIT);
    if (size <= 0)
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    if (!connection->is_in_body) {
        connection->held += (size_t)size;
        return parse(connection);
    }
    if ((size_t)size > connection->body_left)
        return 0; /* more than one answer to one request */
    connection->body_left -= (size_t)size;
    return 1;
}

static void go_on(struct connection *connection) {
    int is_well = take(connection);
    if (is_well && connection->is_in_body && connection->body_left == 0) {
        note(connection);
        is_well = ask(connection);
    }
    if (!is_well)
        open_again(connection);
}

static void run_until(int64_t end_ns) {
    struct epoll_event events[MAX_EVENTS];
    int64_t left_ns;
    while ((left_ns = end_ns - now_ns()) > 0) {
        int count = epoll_wait(epoll, events, MAX_EVENTS, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < count; i++)
            go_on(events[i].data.ptr);
    }
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

static void make_request(const char *path, char **lines) {
    size_t size = 0;
    size += (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n",
                             path, ntohs(address.sin_port));
    for (; *lines != NULL && size < sizeof request; lines++)
        size += (size_t)snprintf(request + size, sizeof request - size, "%s\r\n", *lines);
    if (size < sizeof request)
        size += (size_t)snprintf(request + size, sizeof request - size, "\r\n");
    if (size >= sizeof request) {
        fprintf(stderr, "the request is too long\n");
        exit(EXIT_FAILURE);
    }
    request_bytes = size;
}

static void report(double seconds) {
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"errors\": %lu, \"unexpected\": %lu, "
           "\"p50_us\": %ld, \"p99_us\": %ld, \"max_us\": %ld}\n",
           (unsigned long)tally.requests, seconds, (unsigned long)tally.errors,
           (unsigned long)tally.unexpected, (long)percentile_us(0.5), (long)percentile_us(0.99),
           (long)tally.max_us);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS WARM_UP_S SECONDS STATUS PATH [FIELD-LINE...]\n",
                argv[0]);
        return 2;
    }
    int connections = atoi(argv[2]);
    double warm_up_s = atof(argv[3]), seconds = atof(argv[4]);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expected_status = atoi(argv[5]);
    make_request(argv[6], argv + 7);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    if (epoll < 0 || all == NULL)
        die("start");
    for (int i = 0; i < connections; i++)
        open_connection(&all[i]);
    run_until(now_ns() + (int64_t)(warm_up_s * 1e9));
    memset(&tally, 0, sizeof tally);
    puts("measuring");
    fflush(stdout);
    int64_t from_ns = now_ns();
    run_until(from_ns + (int64_t)(seconds * 1e9));
    report((double)(now_ns() - from_ns) / 1e9);
    return EXIT_SUCCESS;
}
