/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls NAME: a fixed amount of what OpenSSL does for a TLS connection; prints what came out. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 16384

static unsigned char data[RECORD + 64];

static void check(int ok, const char *what)
{
    if (ok <= 0) {
        fprintf(stderr, "tls: %s failed\n", what);
        exit(1);
    }
}

static void show(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

static void seal(const EVP_CIPHER *cipher, unsigned records)
{
    unsigned char key[32] = "a key of thirty-two bytes, fixed", iv[12] = {0}, tag[16];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;

    check(EVP_EncryptInit_ex(c, cipher, NULL, key, NULL), "key");
    for (unsigned i = 0; i < records; i++) {
        memcpy(iv, &i, sizeof(i));
        check(EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv), "nonce");
        check(EVP_EncryptUpdate(c, NULL, &n, iv, 5), "header");
        check(EVP_EncryptUpdate(c, data, &n, data, RECORD), "record");
        check(EVP_EncryptFinal_ex(c, data + n, &n), "end");
        check(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag), "tag");
        memcpy(data, tag, sizeof(tag));
    }
    show(data, 64);
}

static void digest(unsigned records)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size;

    for (unsigned i = 0; i < records; i++) {
        check(EVP_Digest(data, RECORD, sum, &size, EVP_sha256(), NULL), "digest");
        memcpy(data, sum, size);
    }
    show(data, 64);
}

/* The key comes from the folder of inputs; the padding has nothing random. */
static void sign(unsigned count)
{
    unsigned char signature[256] = {0};
    const unsigned char *p = data;
    FILE *f = fopen("rsa.der", "rb");
    size_t length = f ? fread(data, 1, sizeof(data), f) : 0, size = 0;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, length);
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    check(key != NULL, "rsa.der");
    for (unsigned i = 0; i < count; i++) {
        size = sizeof(signature);
        check(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key), "sign");
        check(EVP_DigestSign(c, signature, &size, signature, size), "sign");
    }
    show(signature, size);
}

static void exchange(unsigned count)
{
    unsigned char mine[32] = {9}, theirs[32] = {5};
    size_t size = 32;

    for (unsigned i = 0; i < count; i++) {
        EVP_PKEY *a = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, mine, 32);
        EVP_PKEY *b = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, theirs, 32);
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(a, NULL);
        check(EVP_PKEY_derive_init(c), "derive");
        check(EVP_PKEY_derive_set_peer(c, b), "peer");
        check(EVP_PKEY_derive(c, mine, &size), "derive");
        EVP_PKEY_CTX_free(c);
        EVP_PKEY_free(a);
        EVP_PKEY_free(b);
    }
    show(mine, 32);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "aes-128-gcm") == 0)
        seal(EVP_aes_128_gcm(), 100000);
    else if (strcmp(name, "chacha20-poly1305") == 0)
        seal(EVP_chacha20_poly1305(), 50000);
    else if (strcmp(name, "sha256") == 0)
        digest(30000);
    else if (strcmp(name, "rsa") == 0)
        sign(500);
    else if (strcmp(name, "x25519") == 0)
        exchange(3000);
    else
        check(0, "the choice of a cipher");
    return 0;
}
