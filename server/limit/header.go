package limit

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// standing is what the answer's headers say about one bucket.
type standing struct {
	holds, level, perSecond float64
}

// write sets the three headers of a bucket the way OpenAI names and writes them: how many there are at most, how many are
// left, and how long it takes until all are there again.
func (s standing) write(h http.Header, what string) {
	if s.perSecond <= 0 {
		return
	}
	h.Set("x-ratelimit-limit-"+what, strconv.FormatFloat(math.Floor(s.holds), 'f', -1, 64))
	h.Set("x-ratelimit-remaining-"+what, strconv.FormatFloat(math.Floor(max(s.level, 0)), 'f', -1, 64))
	h.Set("x-ratelimit-reset-"+what, until(s.level, s.holds, s.perSecond).Round(time.Millisecond).String())
}

// WriteRetry tells a refused client when to come again: in whole seconds for every client, and to the millisecond for
// OpenAI's. A request that can never pass is not worth another try.
func (r *Refusal) WriteRetry(h http.Header) {
	if r.Never {
		h.Set("x-should-retry", "false")
		return
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(r.RetryAfter.Seconds())), 10))
		h.Set("retry-after-ms", strconv.FormatInt(int64(math.Ceil(float64(r.RetryAfter)/float64(time.Millisecond))), 10))
	}
}
