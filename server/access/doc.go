// Package access says who asks and what they may ask for.
//
// A [Gate] knows keys (from flags, the environment and a file that is read again when it changes) and tokens that an
// issuer signs (JSON Web Tokens), both of which lead to an [Identity]: a name, scopes, models and limits. Beside that it
// finds the address of a client behind trusted proxies and holds it to lists of networks.
//
// Keys are compared by digest in constant time. Nothing here logs a key, a token or what they are made of.
package access
