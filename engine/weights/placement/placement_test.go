package placement

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/kernel"
)

// TestChoose decides without a machine.
func TestChoose(t *testing.T) {
	const gb = 1_000_000_000
	speeds := func(ratio float64) *Speeds { return &Speeds{Mapped: 10, Huge: 10 * ratio, Ratio: ratio} }
	usual := Weights{Bytes: 12 * gb, Mapped: true, Beside: 2 * gb}
	with := func(change func(*Weights)) Weights {
		w := usual
		change(&w)
		return w
	}
	const enough = 14*gb + spareBytes
	tests := map[string]struct {
		weights  Weights
		room     int64
		measured *Speeds // nil: nothing is measured, or fails to be
		failed   error
		want     Choice
	}{
		"a copy is faster and fits": {usual, enough, speeds(1.3), nil, Choice{true, "huge pages are read 1.30 times as fast, and there is room for a copy", *speeds(1.3)}},
		"just worth it":             {usual, enough, speeds(worthCopying), nil, Choice{true, "huge pages are read 1.10 times as fast, and there is room for a copy", *speeds(worthCopying)}},
		"as fast where it lies":     {usual, enough, speeds(1.04), nil, Choice{false, "huge pages are read 1.04 times as fast, a copy is worth it from 1.10 on", *speeds(1.04)}},
		"no number":                 {usual, enough, speeds(math.NaN()), nil, Choice{false, "huge pages are read NaN times as fast, a copy is worth it from 1.10 on", *speeds(math.NaN())}},
		"a byte too little memory":  {usual, enough - 1, nil, nil, Choice{Why: "15.1 GB of memory are free, a copy and everything beside it need 15.1 GB"}},
		"a plan beyond all numbers": {with(func(w *Weights) { w.Beside = math.MaxInt64 }), enough, nil, nil, Choice{Why: "15.1 GB of memory are free, a copy and everything beside it need 9223372036.9 GB"}},
		"nobody knows the memory":   {usual, -1, nil, nil, Choice{Why: "this system does not tell how much memory is free"}},
		"a small file":              {with(func(w *Weights) { w.Bytes = sampleBytes - 1 }), enough, nil, nil, Choice{Why: "so small that it hardly matters"}},
		"read already":              {with(func(w *Weights) { w.Mapped = false }), enough, nil, nil, Choice{Why: "the file cannot be mapped where it lies, so it was read"}},
		"nothing to measure":        {usual, enough, nil, errors.New("the weights come too slowly for it"), Choice{Why: "nothing could be measured: the weights come too slowly for it"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			asked := false
			got := tc.weights.choose(tc.room, func() (Speeds, error) {
				asked = true
				if tc.measured == nil {
					return Speeds{}, tc.failed
				}
				return *tc.measured, nil
			})
			nan := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
			if diff := cmp.Diff(tc.want, got, nan); diff != "" {
				t.Errorf("choice (-want +got):\n%s", diff)
			}
			if needless := tc.measured == nil && tc.failed == nil; asked == needless {
				t.Errorf("measured: %v", asked)
			}
		})
	}
}

// TestMeasure compares memory with memory: what comes out must be speeds.
func TestMeasure(t *testing.T) {
	memory := bytes.Repeat([]byte{1, 2, 3, 4}, 2*pieceBytes)
	s, err := measure(t.Context(), [][]byte{memory[:100], memory[100:]}, kernel.Kernel{}, 2, pieceBytes)
	if err != nil || !(s.Mapped > 0) || !(s.Huge > 0) || !(s.Ratio > 0) {
		t.Errorf("speeds %+v, %v", s, err)
	}
	if _, err := Measure(t.Context(), [][]byte{memory}, kernel.Kernel{}, 2); err == nil {
		t.Error("a sample that fits into a cache was measured")
	}
	if c := Choose(t.Context(), Weights{Sections: [][]byte{memory}, Bytes: int64(len(memory)), Mapped: true}, kernel.Kernel{}, 2); c.Copy || c.Why == "" {
		t.Errorf("a small file: %+v", c)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Measure(ended, [][]byte{memory}, kernel.Kernel{}, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestPieces(t *testing.T) {
	memory := make([]byte, 3*pieceBytes+5)
	all, n := Cut([][]byte{memory[:pieceBytes+1], nil, memory[pieceBytes+1:]})
	if n != int64(len(memory)) || len(all) != 5 {
		t.Errorf("%d bytes in %d pieces, want %d in 5", n, len(all), len(memory))
	}
	if got := all.Read(t.Context(), kernel.Kernel{}, 3, 0); got != n {
		t.Errorf("read %d bytes, want %d", got, n)
	}
	if got := all.Read(t.Context(), kernel.Kernel{}, 1, time.Millisecond); got < n {
		t.Errorf("read %d bytes, want at least %d", got, n)
	}
	if got := (Pieces{}).Read(t.Context(), kernel.Kernel{}, 1, time.Millisecond); got != 0 {
		t.Errorf("read %d bytes of nothing", got)
	}
	for i := range memory {
		memory[i] = byte(i % 251)
	}
	copies := all.copyTo(make([]byte, n), 2)
	if got := bytes.Join(copies, nil); !bytes.Equal(got, memory) {
		t.Error("the copy differs")
	}
}

// TestSample looks at which pieces of large weights are compared.
func TestSample(t *testing.T) {
	const most, run = sampleBytes / pieceBytes, sampleBytes / pieceBytes / samplePlaces
	for _, n := range []int{1, most, most + 1, 100 * most} {
		all := make(Pieces, n)
		for i := range all {
			all[i] = []byte{byte(i >> 16), byte(i >> 8), byte(i)}
		}
		some := sample(all)
		if len(some) != min(n, most) || n > 0 && (!bytes.Equal(some[0], all[0]) || !bytes.Equal(some[len(some)-1], all[n-1])) {
			t.Errorf("%d of %d pieces, want %d, the first and the last among them", len(some), n, min(n, most))
		}
		for i := 1; i < len(some); i++ {
			if bytes.Compare(some[i-1], some[i]) >= 0 {
				t.Errorf("of %d pieces, %v goes before %v", n, some[i-1], some[i])
			}
			if neighbours := some[i][2] == some[i-1][2]+1; i%run != 0 && !neighbours {
				t.Errorf("of %d pieces, a run holds %v and %v", n, some[i-1], some[i])
			}
		}
	}
}

func TestRoom(t *testing.T) {
	const meminfo = "MemTotal:  24684084 kB\nMemAvailable:   1000 kB\nAnonPages: 7 kB\nMapped:     200 kB\n"
	tests := map[string]struct {
		files map[string]string
		want  int64 // below zero: nobody knows
	}{
		"nothing is told":        {nil, -1},
		"a system of long ago":   {map[string]string{"proc/meminfo": "MemFree: 1000 kB\nMapped: 1 kB\n"}, -1},
		"no number":              {map[string]string{"proc/meminfo": "MemAvailable: many kB\nMapped: 1 kB\n"}, -1},
		"no groups":              {map[string]string{"proc/meminfo": meminfo}, 800 << 10},
		"all of it is mapped":    {map[string]string{"proc/meminfo": "MemAvailable: 1 kB\nMapped: 2 kB\n"}, 0},
		"a group without limits": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 800 << 10},
		"a container that sees its own group only": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "500000\n", "sys/fs/cgroup/memory.current": "400000\n",
			"sys/fs/cgroup/memory.stat": "anon 1\nactive_file 200000\ninactive_file 50000\nfile_mapped 30000\n",
		}, 500000 - 400000 + 250000 - 30000},
		"a container that is told a group it cannot see": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../kubepods/x\n",
			"sys/fs/cgroup/memory.max": "500000\n", "sys/fs/cgroup/memory.current": "400000\n",
		}, 100000},
		"a limit that slows down": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "max", "sys/fs/cgroup/a/memory.high": "50000", "sys/fs/cgroup/a/memory.current": "20000",
		}, 30000},
		"a limit above": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "400000", "sys/fs/cgroup/a/b/memory.current": "0",
			"sys/fs/cgroup/a/memory.max": "300000", "sys/fs/cgroup/a/memory.current": "10000",
		}, 290000},
		"a group that is over its limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "400000", "sys/fs/cgroup/a/memory.current": "500000",
		}, 0},
		"groups of the first version": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "9:name=systemd:/\n4:hugetlb,memory:/p/q\n1:cpu:/\n0::/\n",
			"sys/fs/cgroup/memory/p/q/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/p/q/memory.usage_in_bytes": "7\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "500000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "300000\n",
			"sys/fs/cgroup/memory/memory.stat": "active_file 1\ntotal_active_file 90000\ntotal_inactive_file 20000\ntotal_mapped_file 10000\n",
		}, 500000 - 300000 + 110000 - 10000},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range tc.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			got, ok := room(root)
			if ok != (tc.want >= 0) || ok && got != tc.want {
				t.Errorf("room for %d bytes, %v, want %d", got, ok, tc.want)
			}
		})
	}
}
