// Package ticket stands in for a key where a key must not be seen: in an address.
//
// A browser's EventSource can send no header, so what it may show has to be a part of the address, which proxies log and
// histories keep. A ticket is a credential that is sealed with a secret of the server, good for a minute and once. Who
// finds it later can neither use it nor read it. Since it contains the credential, whatever is decided on that (whose it is,
// whether it was revoked a second ago, what limits it has) is decided on it as if it had come in a header.
package ticket
