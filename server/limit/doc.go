// Package limit says how much each identity may use: requests per second, tokens per minute, requests at the same time.
//
// A [Limiter] keeps token buckets in this process, or in Redis where all replicas of a model share them. One script, and
// so one round trip, decides about a request; it counts with Redis' clock, so that the clocks of the replicas do not
// matter. While Redis cannot be reached each replica goes on with its own buckets, which hold its share of every limit:
// nothing becomes unlimited and nothing is refused that fits into the share. A background loop finds out when Redis is
// back; requests never wait for a Redis that is known to be gone.
//
// Tokens are reserved before they are made, at the most that a request can take, and settled when it has ended.
package limit
