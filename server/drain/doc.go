// Package drain lets connections end without a client's noticing.
//
// An HTTP/1.1 client that keeps its connection learns that it should not from the header "Connection: close" of an answer
// and from nothing else. A server that closes an idle connection races with the next request on it, and clients that
// stream lose most: their answer's header was sent before the server knew that it would leave, and their next request
// follows the answer's last byte at once. So after the listener is closed [Connections.Wait] leaves every connection that
// is there a while to ask once more, for which the answer says "close".
package drain
