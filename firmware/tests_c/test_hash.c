/* Checksums and digests against published vectors. */
#include "check.h"
#include "crc32.h"
#include "sha256.h"

#include <string.h>

static const uint8_t *bytes(const char *text) { return (const uint8_t *)text; }

static void to_hex(const uint8_t digest[RM_SHA256_BYTES], char text[2 * RM_SHA256_BYTES + 1])
{
    for (unsigned i = 0; i < RM_SHA256_BYTES; i++) (void)snprintf(text + 2 * i, 3, "%02x", (unsigned)digest[i]);
}

/* "123456789" gives the check value of the CRC catalogue; in two pieces it is the same. */
static void crc32_is_that_of_zlib(void)
{
    rm_crc32_init();
    CHECK(rm_crc32(0, bytes("123456789"), 9) == 0xCBF43926u);
    CHECK(rm_crc32(rm_crc32(0, bytes("1234567890ab"), 11), bytes("b"), 1) == rm_crc32(0, bytes("1234567890ab"), 12));
    CHECK(rm_crc32(0, bytes(""), 0) == 0);
}

/* FIPS 180-4 examples: "abc", and the two-block message. */
static void sha256_gives_the_examples_of_its_standard(void)
{
    static const struct {
        const char *message, *digest;
    } known[] = {
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct rm_sha256 hash;
        uint8_t digest[RM_SHA256_BYTES];
        char text[2 * RM_SHA256_BYTES + 1];
        rm_sha256_start(&hash);
        rm_sha256_add(&hash, bytes(known[i].message), strlen(known[i].message));
        rm_sha256_end(&hash, digest);
        to_hex(digest, text);
        CHECK(strcmp(text, known[i].digest) == 0);
    }
}

/* RFC 4231, test cases 1, 2 and 6: a short key, a text key, a key longer than a block. */
static void hmac_gives_the_examples_of_rfc_4231(void)
{
    uint8_t key[131], digest[RM_SHA256_BYTES];
    char text[2 * RM_SHA256_BYTES + 1];
    memset(key, 0x0B, 20);
    rm_hmac_sha256(key, 20, bytes("Hi There"), 8, digest);
    to_hex(digest, text);
    CHECK(strcmp(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7") == 0);
    rm_hmac_sha256(bytes("Jefe"), 4, bytes("what do ya want for nothing?"), 28, digest);
    to_hex(digest, text);
    CHECK(strcmp(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") == 0);
    memset(key, 0xAA, sizeof key);
    const char *message = "Test Using Larger Than Block-Size Key - Hash Key First";
    rm_hmac_sha256(key, sizeof key, bytes(message), strlen(message), digest);
    to_hex(digest, text);
    CHECK(strcmp(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54") == 0);
}

static void secrets_differ_wherever_they_differ(void)
{
    uint8_t one[32] = {0}, other[32] = {0};
    CHECK(rm_same_secret(one, other, sizeof one));
    for (unsigned i = 0; i < sizeof one; i++) {
        other[i] = 0x80;
        CHECK(!rm_same_secret(one, other, sizeof one));
        other[i] = 0;
    }
}

int main(void)
{
    RUN(crc32_is_that_of_zlib);
    RUN(sha256_gives_the_examples_of_its_standard);
    RUN(hmac_gives_the_examples_of_rfc_4231);
    RUN(secrets_differ_wherever_they_differ);
    return 0;
}
