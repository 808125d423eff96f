package limit

import (
	"math"
	"time"
)

// Unlimited in a field of Rates lifts the default.
const Unlimited = -1

// Rates are the limits of one identity. 0 leaves a limit to the default, a negative value lifts it.
type Rates struct {
	// RequestsPerSecond is how fast the bucket of requests fills, Burst how many it holds. Where only the rate is set, it
	// holds one second's worth.
	RequestsPerSecond float64
	Burst             int
	// TokensPerMinute is how many tokens of prompts and answers together a minute has; the bucket holds one minute's worth.
	TokensPerMinute int64
	// Concurrent is how many requests may be under way at the same time.
	Concurrent int
}

// Over fills what r leaves open from the defaults and gives lifted limits the value 0. A rate of its own does not get the
// default's burst, which was meant for another rate.
func (r Rates) Over(defaults Rates) Rates {
	if r.RequestsPerSecond == 0 {
		r.RequestsPerSecond = defaults.RequestsPerSecond
		if r.Burst == 0 {
			r.Burst = defaults.Burst
		}
	}
	if r.TokensPerMinute == 0 {
		r.TokensPerMinute = defaults.TokensPerMinute
	}
	if r.Concurrent == 0 {
		r.Concurrent = defaults.Concurrent
	}
	r.RequestsPerSecond = max(r.RequestsPerSecond, 0)
	r.TokensPerMinute = max(r.TokensPerMinute, 0)
	r.Concurrent = max(r.Concurrent, 0)
	if r.Burst <= 0 {
		r.Burst = int(min(math.Ceil(r.RequestsPerSecond), math.MaxInt32))
	}
	r.Burst = max(r.Burst, 1)
	if r.RequestsPerSecond == 0 {
		r.Burst = 0
	}
	return r
}

// none reports whether nothing is limited. r comes from Over.
func (r Rates) none() bool {
	return r.RequestsPerSecond == 0 && r.TokensPerMinute == 0 && r.Concurrent == 0
}

// shape is Rates as buckets: what they hold and what runs in each second.
type shape struct {
	requests, requestsPerSecond float64
	tokens, tokensPerSecond     float64
	concurrent                  int // 0 for any number
}

// buckets gives one of n replicas its share. A request needs a whole place in the bucket, so no share holds less than one;
// the rate still is the n-th part. r comes from Over.
func (r Rates) buckets(n int) shape {
	s := shape{
		requestsPerSecond: r.RequestsPerSecond / float64(n),
		tokens:            float64(r.TokensPerMinute) / float64(n), tokensPerSecond: float64(r.TokensPerMinute) / 60 / float64(n),
	}
	if r.RequestsPerSecond > 0 {
		s.requests = max(float64(r.Burst)/float64(n), 1)
	}
	if r.Concurrent > 0 {
		s.concurrent = max(r.Concurrent/n, 1)
	}
	return s
}

// bucket fills at a constant rate up to what it holds. The level is below 0 where more was used than was reserved.
type bucket struct {
	level float64
	at    time.Time // of the level; zero for a full bucket that was never used
}

func (b *bucket) fill(now time.Time, holds, perSecond float64) {
	if holds == 0 { // no limit, for now
		*b = bucket{}
		return
	}
	if b.at.IsZero() {
		b.level = holds
	}
	if d := now.Sub(b.at); d > 0 {
		b.level += d.Seconds() * perSecond
	}
	b.level = min(b.level, holds)
	b.at = now
}

// until is how long a bucket takes from one level to a higher one.
func until(level, wanted, perSecond float64) time.Duration {
	if level >= wanted || perSecond <= 0 {
		return 0
	}
	seconds := (wanted - level) / perSecond
	return time.Duration(min(seconds, 24*3600) * float64(time.Second))
}
