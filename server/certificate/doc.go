// Package certificate reads a certificate and its key from files, again when they change, so that a renewed one is used
// from the next handshake on. Connections that are open stay open.
package certificate
