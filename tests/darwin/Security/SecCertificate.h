/* As much of Apple's framework as libgit2 names, for a build that is never run: the names, types and values of
   https://developer.apple.com/documentation/security */
#ifndef CROSS_SECCERTIFICATE_H
#define CROSS_SECCERTIFICATE_H

#include <CoreFoundation/CoreFoundation.h>

typedef struct __SecCertificate *SecCertificateRef;
typedef struct __SecTrust *SecTrustRef;
typedef uint32_t SecTrustResultType;

enum {
	kSecTrustResultInvalid = 0,
	kSecTrustResultProceed = 1,
	kSecTrustResultDeny = 3,
	kSecTrustResultUnspecified = 4,
	kSecTrustResultRecoverableTrustFailure = 5,
	kSecTrustResultFatalTrustFailure = 6,
	kSecTrustResultOtherError = 7
};

CFDataRef SecCertificateCopyData(SecCertificateRef certificate);
CFStringRef SecCopyErrorMessageString(OSStatus status, void *reserved);
OSStatus SecTrustEvaluate(SecTrustRef trust, SecTrustResultType *result);
SecCertificateRef SecTrustGetCertificateAtIndex(SecTrustRef trust, CFIndex index);

#endif
