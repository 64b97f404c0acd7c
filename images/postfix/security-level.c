/*
 * Postfix 3.10 lowers every connection that it verifies to OpenSSL's security level 1, after it has
 * set the cipher list (tls_client_start in src/tls/tls_client.c). So an RSA key or a DH group of
 * 1024 bits would pass as verified, whatever @SECLEVEL the list demands. This library is loaded
 * before OpenSSL (ld.so(8), /etc/ld.so.preload) and lets a connection's level only rise.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

typedef struct ssl_st SSL;
extern int SSL_get_security_level(const SSL *connection);

void SSL_set_security_level(SSL *connection, int level)
{
    void (*set)(SSL *, int) = (void (*)(SSL *, int)) dlsym(RTLD_NEXT, "SSL_set_security_level");
    int now = SSL_get_security_level(connection);

    if (set == NULL)
        abort();
    set(connection, level > now ? level : now);
}
