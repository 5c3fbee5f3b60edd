/* The daemon's core on memory: sessions, sequences, credits, the queue. The test is the host, byte by byte. */
#include "check.h"
#include "core.h"
#include "hal.h"

#define CONTROL(bit) (RM_CONTROL_KEY << RM_CONTROL_KEY_SHIFT | 1u << RM_CONTROL_##bit##_SHIFT)
#define TIMEOUT_MS 1000u

static struct rm_core core;
static uint64_t now_ms = 1;
static struct rm_decoder decoder;
static uint8_t wire[RM_WIRE_MAX];

static uint32_t tag_of(uint8_t name) { return 0x01010101u * name; }

static void send(struct rm_port *port, uint8_t name, uint8_t type, uint32_t sequence, const uint8_t *payload,
                 uint32_t length)
{
    const struct rm_header header = {.version = RM_PROTOCOL_VERSION, .type = type, .session = tag_of(name),
                                     .sequence = sequence, .length = length};
    rm_port_input(&core, port, wire, rm_frame_encode(RM_COBS, &header, payload, wire));
}

static void settle(void)
{
    while (rm_core_step(&core, now_ms) != RM_IDLE) {
    }
}

/* The next answer on a port: its type, or 0 where there is none. */
static uint8_t answer(struct rm_port *port)
{
    const uint8_t *bytes = NULL;
    size_t taken = 0;
    const size_t count = rm_port_output(port, &bytes);
    if (count == 0) return 0;
    rm_decoder_start(&decoder, true);
    CHECK(rm_decoder_feed(&decoder, bytes, count, &taken) == RM_FRAME);
    rm_port_sent(port, taken);
    return decoder.header.type;
}

static void expect_refusal(struct rm_port *port, enum rm_reason reason)
{
    CHECK(answer(port) == RM_NAK);
    CHECK(decoder.header.code == reason);
}

static void send_hello(struct rm_port *port, uint8_t name, uint32_t flags)
{
    uint8_t hello[RM_HELLO_BYTES];
    rm_put32(hello, RM_PROTOCOL_VERSION);
    rm_put32(hello + 4, RM_PROTOCOL_VERSION);
    rm_put32(hello + 8, flags);
    rm_put32(hello + 12, TIMEOUT_MS);
    memset(hello + 16, name, RM_NONCE_BYTES);
    send(port, name, RM_HELLO, 0, hello, sizeof hello);
}

static struct rm_port *start(const char *key)
{
    struct rm_identity identity;
    CHECK(hal_open(NULL));
    CHECK(rm_board_identify(&identity));
    rm_core_start(&core, &identity, (const uint8_t *)key, key == NULL ? 0 : strlen(key));
    (void)rm_core_step(&core, now_ms);
    return rm_port_open(&core, true, false);
}

static void send_pulse(struct rm_port *port, uint8_t name, uint32_t sequence, uint32_t clocks)
{
    uint8_t command[RM_COMMAND_BYTES] = {RM_OP_PULSE};
    rm_put32(command + 4, clocks);
    send(port, name, RM_COMMANDS, sequence, command, sizeof command);
}

/* A core whose session 'A' is in force on the port that is returned, with the board armed and a cell routed. */
static struct rm_port *start_session(void)
{
    struct rm_port *port = start(NULL);
    send_hello(port, 'A', 0);
    CHECK(answer(port) == (RM_HELLO | RM_REPLY));
    uint8_t arm[RM_STEP_BYTES] = {RM_STEP_WRITE}, route[RM_COMMAND_BYTES] = {RM_OP_ROUTE_CELL};
    rm_put32(arm + 4, RM_REG_CONTROL);
    rm_put32(arm + 8, CONTROL(ARM));
    send(port, 'A', RM_TRANSACT, 0, arm, sizeof arm);
    send(port, 'A', RM_COMMANDS, 1, route, sizeof route);
    settle();
    CHECK(answer(port) == (RM_TRANSACT | RM_REPLY));
    CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
    return port;
}

static void a_repeated_pulse_is_applied_once_and_answered_alike(void)
{
    struct rm_port *port = start_session();
    for (unsigned again = 0; again < 3; again++) {
        send_pulse(port, 'A', 2, 100);
        settle();
        CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
        CHECK(rm_get32(decoder.payload + 4) == 1);
    }
    CHECK(rm_board_pulses() == 1);
    CHECK(core.counters.repeats == 2);
}

static void a_repeat_of_a_running_request_says_that_it_is_pending(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'A', 2, 1000000); /* 10 ms */
    (void)rm_core_step(&core, now_ms);
    send_pulse(port, 'A', 2, 1000000);
    CHECK(answer(port) == RM_PENDING);
    settle();
    CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
    CHECK(rm_board_pulses() == 1);
}

static void a_request_after_a_missing_one_is_refused_once(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'A', 4, 100);
    expect_refusal(port, RM_GAP);
    CHECK(rm_get32(decoder.payload + 4) == 2);
    send_pulse(port, 'A', 5, 100);
    settle();
    CHECK(answer(port) == 0);
    CHECK(rm_board_pulses() == 0);
}

static void what_was_answered_long_ago_is_stale_and_not_done_again(void)
{
    struct rm_port *port = start_session();
    for (uint32_t sequence = 2; sequence < 2 + RM_SLOTS; sequence++) {
        send_pulse(port, 'A', sequence, 100);
        settle();
        CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
    }
    send_pulse(port, 'A', 1, 100);
    expect_refusal(port, RM_STALE);
    CHECK(rm_board_pulses() == RM_SLOTS);
}

static void more_requests_than_credits_are_not_taken(void)
{
    struct rm_port *port = start_session();
    for (uint32_t i = 0; i <= RM_SLOTS; i++) send_pulse(port, 'A', 2 + i, 1000000);
    expect_refusal(port, RM_NO_CREDIT);
    settle();
    CHECK(rm_board_pulses() == RM_SLOTS);
}

static void a_request_of_another_session_is_refused(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'B', 2, 100);
    expect_refusal(port, RM_NO_SESSION);
    settle();
    CHECK(rm_board_pulses() == 0);
}

static void the_board_is_busy_for_a_second_connection_until_the_first_is_silent(void)
{
    struct rm_port *first = start_session();
    struct rm_port *second = rm_port_open(&core, true, false);
    send_hello(second, 'B', 0);
    expect_refusal(second, RM_BUSY);
    now_ms += TIMEOUT_MS + 1;
    settle();
    send_hello(second, 'B', 0);
    CHECK(answer(second) == (RM_HELLO | RM_REPLY));
    send_pulse(first, 'A', 2, 100);
    expect_refusal(first, RM_NO_SESSION);
}

static void silence_switches_the_outputs_off_and_stops_requests(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'A', 2, 100000000);
    send_pulse(port, 'A', 3, 100);
    (void)rm_core_step(&core, now_ms);
    now_ms += TIMEOUT_MS + 1;
    (void)rm_core_step(&core, now_ms);
    uint32_t status = 0;
    (void)rm_board_state(&status);
    CHECK((status >> RM_STATUS_STATE_SHIFT & RM_STATUS_STATE_MASK) == RM_STATE_DISARMED);
    CHECK((status >> RM_STATUS_OUTPUTS_SHIFT & RM_STATUS_OUTPUTS_MASK) == 0);
    expect_refusal(port, RM_ABORTED);
    CHECK(rm_get32(decoder.payload + 16) == 1); /* pulses begun */
    expect_refusal(port, RM_INTERRUPTED);       /* 3 was in the ring, behind 2 */
    send_pulse(port, 'A', 4, 100);
    expect_refusal(port, RM_INTERRUPTED);
    CHECK(rm_board_pulses() == 1);
}

static void a_session_comes_back_on_a_new_connection_for_its_answers_only(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'A', 2, 100);
    settle();
    rm_port_close(&core, port);
    port = rm_port_open(&core, true, false);
    send_hello(port, 'A', RM_RESUME);
    CHECK(answer(port) == (RM_HELLO | RM_REPLY));
    CHECK(rm_get32(decoder.payload + 4) == RM_IS_INTERRUPTED);
    CHECK(rm_get32(decoder.payload + 40) == 3);
    send_pulse(port, 'A', 2, 100);
    CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
    send_pulse(port, 'A', 3, 100);
    expect_refusal(port, RM_INTERRUPTED);
    CHECK(rm_board_pulses() == 1);
}

static void a_session_that_is_not_known_is_not_begun_by_resuming(void)
{
    struct rm_port *port = start(NULL);
    send_hello(port, 'A', RM_RESUME);
    expect_refusal(port, RM_NO_SESSION);
    CHECK(core.session.state == RM_SESSION_NONE);
}

static void a_session_that_has_ended_is_not_begun_again(void)
{
    struct rm_port *port = start_session();
    send(port, 'A', RM_GOODBYE, 0, NULL, 0);
    CHECK(answer(port) == (RM_GOODBYE | RM_REPLY));
    send_hello(port, 'A', 0);
    expect_refusal(port, RM_NO_SESSION);
    send_hello(port, 'B', 0);
    CHECK(answer(port) == (RM_HELLO | RM_REPLY));
}

static void an_abort_stops_what_runs_and_what_waits(void)
{
    struct rm_port *port = start_session();
    send_pulse(port, 'A', 2, 100000000);
    send_pulse(port, 'A', 3, 100);
    (void)rm_core_step(&core, now_ms);
    send(port, 'A', RM_ABORT, 9, NULL, 0);
    expect_refusal(port, RM_ABORTED);
    expect_refusal(port, RM_ABORTED);
    CHECK(answer(port) == (RM_ABORT | RM_REPLY));
    CHECK(rm_get32(decoder.payload) == 2);
    send_pulse(port, 'A', 4, 100);
    settle();
    expect_refusal(port, RM_NOT_READY);
    CHECK(rm_board_pulses() == 1);
}

static void a_command_that_the_board_refuses_names_its_place(void)
{
    struct rm_port *port = start_session();
    uint8_t commands[3 * RM_COMMAND_BYTES] = {RM_OP_NOP};
    commands[RM_COMMAND_BYTES] = 0x77;
    commands[2 * RM_COMMAND_BYTES] = RM_OP_PULSE;
    send(port, 'A', RM_COMMANDS, 2, commands, sizeof commands);
    settle();
    expect_refusal(port, RM_BOARD_FAULT);
    CHECK(rm_get32(decoder.payload + 8) == 1);
    CHECK((rm_get32(decoder.payload + 12) >> RM_STATUS_ERROR_SHIFT & RM_STATUS_ERROR_MASK) == RM_ERROR_OPCODE);
    CHECK(rm_board_pulses() == 0);
}

static void bad_requests_are_refused_whole(void)
{
    struct rm_port *port = start_session();
    uint8_t steps[2 * RM_STEP_BYTES] = {RM_STEP_WRITE};
    rm_put32(steps + 4, RM_REG_WATCHDOG_MS);
    rm_put32(steps + 8, 321);
    steps[RM_STEP_BYTES] = RM_STEP_READ;
    rm_put32(steps + RM_STEP_BYTES + 4, RM_WINDOW_RESULTS);
    uint8_t batch[RM_COMMAND_BYTES] = {RM_OP_MVM}, vector[RM_VECTOR_BYTES] = {0};
    send(port, 'A', RM_TRANSACT, 2, steps, sizeof steps);
    send(port, 'A', RM_TRANSACT, 3, steps, RM_STEP_BYTES + 1);
    send(port, 'A', RM_COMMANDS, 4, batch, sizeof batch);
    send(port, 'A', RM_VECTORS, 5, vector, RM_VECTOR_BYTES - 2);
    send(port, 'A', 0x55, 6, NULL, 0);
    settle();
    static const enum rm_reason reasons[] = {RM_BAD_ADDRESS, RM_BAD_LENGTH, RM_BAD_ARGUMENT, RM_BAD_LENGTH,
                                             RM_BAD_TYPE};
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++) expect_refusal(port, reasons[i]);
    CHECK(hal_read(RM_REG_WATCHDOG_MS) == 200);
}

static void the_hosts_steps_cannot_reach_what_the_daemon_works_with(void)
{
    CHECK(!rm_board_can_write(RM_REG_WATCHDOG_KICK));
    CHECK(!rm_board_can_write(RM_REG_COMMAND_HEAD));
    CHECK(!rm_board_can_write(RM_WINDOW_COMMANDS));
    CHECK(!rm_board_can_read(RM_REG_STATUS + 1));
    CHECK(!rm_board_can_read(RM_MAP_BYTES));
}

static void a_proof_of_the_key_is_asked_for_and_checked(void)
{
    static const char key[] = "sixteen bytes or more";
    struct rm_port *port = start(key);
    send_hello(port, 'A', RM_WANT_PROOF);
    CHECK(answer(port) == RM_CHALLENGE);
    uint8_t text[16 + 2 * RM_NONCE_BYTES] = "rmhil host", proof[RM_PROOF_BYTES];
    memset(text + 16, 'A', RM_NONCE_BYTES);
    memcpy(text + 16 + RM_NONCE_BYTES, decoder.payload, RM_NONCE_BYTES);
    rm_hmac_sha256((const uint8_t *)key, strlen(key), text, sizeof text, proof);
    proof[31] ^= 1;
    send(port, 'A', RM_AUTH, 0, proof, sizeof proof);
    expect_refusal(port, RM_DENIED);
    CHECK(port->closing && core.session.state == RM_SESSION_NONE);
    port->closing = false;
    proof[31] ^= 1;
    send(port, 'A', RM_AUTH, 0, proof, sizeof proof);
    CHECK(answer(port) == (RM_AUTH | RM_REPLY));
    CHECK(core.session.state == RM_SESSION_ACTIVE);
}

static void another_machine_gets_nothing_without_a_key(void)
{
    (void)start(NULL);
    struct rm_port *port = rm_port_open(&core, true, true);
    send_hello(port, 'A', 0);
    expect_refusal(port, RM_DENIED);
    send_pulse(port, 'A', 0, 100);
    expect_refusal(port, RM_NO_SESSION);
}

static void a_damaged_frame_is_reported_once_until_a_good_one(void)
{
    struct rm_port *port = start_session();
    static const uint8_t noise[] = {5, 1, 2, 3, 0, 9, 9, 0};
    rm_port_input(&core, port, noise, sizeof noise);
    expect_refusal(port, RM_BAD_FRAME);
    CHECK(rm_get32(decoder.payload + 4) == 2);
    CHECK(answer(port) == 0);
    send(port, 'A', RM_HEARTBEAT, 0, NULL, 0);
    CHECK(answer(port) == (RM_HEARTBEAT | RM_REPLY));
    CHECK(rm_get32(decoder.payload + 8) == 2);
    rm_port_input(&core, port, noise, sizeof noise);
    expect_refusal(port, RM_BAD_FRAME);
}

static void vectors_go_through_both_banks_in_order(void)
{
    struct rm_port *port = start_session();
    uint8_t route[RM_COMMAND_BYTES] = {RM_OP_ROUTE_MVM};
    static uint8_t vectors[31 * RM_VECTOR_BYTES];
    for (uint32_t i = 0; i < sizeof vectors; i++) vectors[i] = (uint8_t)(i * 31u + i / 128u);
    send(port, 'A', RM_COMMANDS, 2, route, sizeof route);
    for (uint32_t i = 0; i < 5; i++) {
        vectors[0] = (uint8_t)(4u * i);
        send(port, 'A', RM_VECTORS, 3 + i, vectors, sizeof vectors);
    }
    settle();
    CHECK(answer(port) == (RM_COMMANDS | RM_REPLY));
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(answer(port) == (RM_VECTORS | RM_REPLY));
        CHECK(decoder.header.sequence == 3 + i && decoder.header.length == sizeof vectors);
        vectors[0] = (uint8_t)(4u * i);
        for (uint32_t line = 0; line < sizeof vectors / 2; line++) {
            const unsigned code = vectors[2 * line] | (unsigned)vectors[2 * line + 1] << 8;
            const unsigned upper = code >> 2, beyond = upper == 0x1FFFu || upper == 0x2000u;
            CHECK((decoder.payload[2 * line] | (unsigned)decoder.payload[2 * line + 1] << 8) == (upper | beyond << 15));
        }
    }
}

static void a_wait_that_does_not_come_true_ends_with_its_time(void)
{
    struct rm_port *port = start_session();
    uint8_t step[RM_STEP_BYTES] = {RM_STEP_WAIT};
    rm_put32(step + 4, RM_REG_PULSES_TOTAL);
    rm_put32(step + 8, 5);
    rm_put32(step + 12, 0xFFFFFFFFu);
    rm_put32(step + 16, 3000);
    send(port, 'A', RM_TRANSACT, 2, step, sizeof step);
    const uint64_t begun = hal_time_us();
    settle();
    CHECK(hal_time_us() - begun >= 3000);
    expect_refusal(port, RM_TIMED_OUT);
}

int main(void)
{
    RUN(a_repeated_pulse_is_applied_once_and_answered_alike);
    RUN(a_repeat_of_a_running_request_says_that_it_is_pending);
    RUN(a_request_after_a_missing_one_is_refused_once);
    RUN(what_was_answered_long_ago_is_stale_and_not_done_again);
    RUN(more_requests_than_credits_are_not_taken);
    RUN(a_request_of_another_session_is_refused);
    RUN(the_board_is_busy_for_a_second_connection_until_the_first_is_silent);
    RUN(silence_switches_the_outputs_off_and_stops_requests);
    RUN(a_session_comes_back_on_a_new_connection_for_its_answers_only);
    RUN(a_session_that_is_not_known_is_not_begun_by_resuming);
    RUN(a_session_that_has_ended_is_not_begun_again);
    RUN(an_abort_stops_what_runs_and_what_waits);
    RUN(a_command_that_the_board_refuses_names_its_place);
    RUN(bad_requests_are_refused_whole);
    RUN(the_hosts_steps_cannot_reach_what_the_daemon_works_with);
    RUN(a_proof_of_the_key_is_asked_for_and_checked);
    RUN(another_machine_gets_nothing_without_a_key);
    RUN(a_damaged_frame_is_reported_once_until_a_good_one);
    RUN(vectors_go_through_both_banks_in_order);
    RUN(a_wait_that_does_not_come_true_ends_with_its_time);
    return 0;
}
