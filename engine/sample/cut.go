package sample

import "math"

// Tokens are ordered by falling weight, equal ones by rising id. A cut finds the
// last token of the shortest prefix that is heavy enough, without sorting: the
// weights' leading bits sort them into buckets, and only the bucket in which the
// cut falls is looked at closer, by weighted quickselect.

// limit is the last token that is kept.
type limit struct {
	weight float32
	id     int32
}

func (l limit) excludes(weight float32, id int32) bool {
	return weight < l.weight || weight == l.weight && id > l.id
}

// Weights lie in [0, 1], where the bits of a float32 grow with its value: sign,
// exponent and five bits of the mantissa make a bucket.
const (
	bucketShift = 18
	buckets     = 0x3f800000>>bucketShift + 1
)

type cutter struct {
	sums [buckets]float64
	ids  []int32 // scratch: the tokens of one bucket
}

// count cuts after k tokens.
func (c *cutter) count(weights []float32, k int) limit {
	return c.find(weights, float64(k), false)
}

// mass cuts as soon as the weights add up to target.
func (c *cutter) mass(weights []float32, target float64) limit {
	return c.find(weights, target, true)
}

// find cuts by mass or, else, by count.
func (c *cutter) find(weights []float32, target float64, mass bool) limit {
	clear(c.sums[:])
	for _, w := range weights {
		if w > 0 {
			c.sums[bucket(w)] += measure(w, mass)
		}
	}
	before, at, lightest := 0.0, -1, -1
	for b := buckets - 1; b >= 0; b-- {
		if c.sums[b] == 0 {
			continue
		}
		lightest = b
		if before+c.sums[b] >= target {
			at = b
			break
		}
		before += c.sums[b]
	}
	if at < 0 { // fewer than asked for, or rounding: keep all
		if lightest < 0 {
			return limit{}
		}
		return limit{weight: math.SmallestNonzeroFloat32, id: int32(len(weights))}
	}
	ids := c.ids[:0]
	for i, w := range weights {
		if w > 0 && bucket(w) == at {
			ids = append(ids, int32(i))
		}
	}
	return quickselect(weights, ids, target-before, mass)
}

func measure(w float32, mass bool) float64 {
	if mass {
		return float64(w)
	}
	return 1
}

func bucket(w float32) int { return int(math.Float32bits(w) >> bucketShift) }

// quickselect reorders ids and returns the first token, in the order above, at
// which the measures summed from the heaviest reaches target, or the last token.
func quickselect(weights []float32, ids []int32, target float64, mass bool) limit {
	heavier := func(a, b int32) bool {
		return weights[a] > weights[b] || weights[a] == weights[b] && a < b
	}
	for len(ids) > 1 {
		// The middle is a good pivot for equal weights, where ids are in order.
		ids[len(ids)/2], ids[len(ids)-1] = ids[len(ids)-1], ids[len(ids)/2]
		pivot := ids[len(ids)-1]
		n, sum := 0, 0.0
		for i, id := range ids[:len(ids)-1] {
			if heavier(id, pivot) {
				sum += measure(weights[id], mass)
				ids[n], ids[i] = ids[i], ids[n]
				n++
			}
		}
		own := measure(weights[pivot], mass)
		switch {
		case n > 0 && sum >= target:
			ids = ids[:n]
		case sum+own >= target || n == len(ids)-1:
			return limit{weights[pivot], pivot}
		default:
			ids, target = ids[n:len(ids)-1], target-sum-own
		}
	}
	return limit{weights[ids[0]], ids[0]}
}
