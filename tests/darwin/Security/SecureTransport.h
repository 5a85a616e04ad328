/* As much of Apple's framework as libgit2 names, for a build that is never run: the names, types and values of
   https://developer.apple.com/documentation/security/secure_transport */
#ifndef CROSS_SECURETRANSPORT_H
#define CROSS_SECURETRANSPORT_H

#include <Security/SecCertificate.h>

typedef struct SSLContext *SSLContextRef;
typedef const void *SSLConnectionRef;
typedef OSStatus (*SSLReadFunc)(SSLConnectionRef connection, void *data, size_t *length);
typedef OSStatus (*SSLWriteFunc)(SSLConnectionRef connection, const void *data, size_t *length);

typedef enum { kSSLServerSide, kSSLClientSide } SSLProtocolSide;
typedef enum { kSSLStreamType, kSSLDatagramType } SSLConnectionType;
typedef enum { kSSLSessionOptionBreakOnServerAuth = 0 } SSLSessionOption;
typedef enum { kTLSProtocol1 = 4, kTLSProtocol11 = 7, kTLSProtocol12 = 8 } SSLProtocol;

enum {
	errSSLClosedGraceful = -9805,
	errSSLServerAuthCompleted = -9841
};

SSLContextRef SSLCreateContext(CFAllocatorRef allocator, SSLProtocolSide side, SSLConnectionType type);
OSStatus SSLSetIOFuncs(SSLContextRef context, SSLReadFunc read, SSLWriteFunc write);
OSStatus SSLSetConnection(SSLContextRef context, SSLConnectionRef connection);
OSStatus SSLSetSessionOption(SSLContextRef context, SSLSessionOption option, Boolean value);
OSStatus SSLSetProtocolVersionMin(SSLContextRef context, SSLProtocol version);
OSStatus SSLSetProtocolVersionMax(SSLContextRef context, SSLProtocol version);
OSStatus SSLSetPeerDomainName(SSLContextRef context, const char *name, size_t length);
OSStatus SSLHandshake(SSLContextRef context);
OSStatus SSLCopyPeerTrust(SSLContextRef context, SecTrustRef *trust);
OSStatus SSLWrite(SSLContextRef context, const void *data, size_t length, size_t *processed);
OSStatus SSLRead(SSLContextRef context, void *data, size_t length, size_t *processed);
OSStatus SSLClose(SSLContextRef context);

#endif
