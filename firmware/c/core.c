#include "core.h"

#include "crc32.h"

void rm_core_start(struct rm_core *core, const struct rm_identity *identity, const uint8_t *key, size_t key_count)
{
    rm_crc32_init();
    memset(core, 0, sizeof *core);
    core->identity = *identity;
    core->key_count = key_count;
    if (key_count > 0) memcpy(core->key, key, key_count);
    rm_board_safe();
}

struct rm_port *rm_port_open(struct rm_core *core, bool bulk, bool remote)
{
    for (unsigned i = 0; i < RM_PORTS; i++) {
        struct rm_port *port = &core->ports[i];
        if (port->open) continue;
        port->open = true;
        port->remote = remote;
        port->authenticated = port->challenged = port->closing = port->complained = false;
        port->out_used = port->out_sent = 0;
        memset(port->hello, 0, sizeof port->hello);
        rm_decoder_start(&port->decoder, bulk);
        return port;
    }
    return NULL;
}

void rm_port_close(struct rm_core *core, struct rm_port *port)
{
    port->open = false;
    if (core->session.port != port) return;
    core->session.port = NULL;
    rm_session_interrupt(core);
}

void rm_port_send(struct rm_port *port, enum rm_envelope envelope, const struct rm_header *header,
                  const uint8_t *payload)
{
    if (port->out_sent > 0) {
        memmove(port->out, port->out + port->out_sent, port->out_used - port->out_sent);
        port->out_used -= port->out_sent;
        port->out_sent = 0;
    }
    const size_t most = RM_PREFIX_BYTES + header->length + RM_CRC_BYTES + header->length / 254u + 5u;
    if (RM_OUT_MAX - port->out_used < most) return;
    if (envelope == RM_COBS) port->out[port->out_used++] = 0; /* ends what noise or a cut frame has left on the line */
    port->out_used += rm_frame_encode(envelope, header, payload, port->out + port->out_used);
}

size_t rm_port_output(const struct rm_port *port, const uint8_t **bytes)
{
    *bytes = port->out + port->out_sent;
    return port->out_used - port->out_sent;
}

void rm_port_sent(struct rm_port *port, size_t count)
{
    port->out_sent += count;
    if (port->out_sent == port->out_used) port->out_used = port->out_sent = 0;
}

enum rm_progress rm_core_step(struct rm_core *core, uint64_t now_ms)
{
    struct rm_session *session = &core->session;
    core->now_ms = now_ms;
    if (session->state != RM_SESSION_ACTIVE) return RM_IDLE;
    if (now_ms - session->heard_ms > session->timeout_ms) {
        rm_session_interrupt(core);
        return RM_WORKED;
    }
    rm_board_kick();
    return rm_engine_step(core);
}
