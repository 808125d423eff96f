package heap

import (
	"errors"
	"testing"
	"testing/fstest"
)

func TestContainer(t *testing.T) {
	cases := map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups": {nil, 0},
		"a container sees its own group as the root": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "8589934592\n",
		}, 8 << 30},
		"no limit": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"the lowest of nested groups": {map[string]string{
			"proc/self/cgroup":                                "0::/system.slice/x.service\n",
			"sys/fs/cgroup/system.slice/memory.max":           "4294967296\n",
			"sys/fs/cgroup/system.slice/x.service/memory.max": "max\n",
		}, 4 << 30},
		"the first version, whose path is the host's": {map[string]string{
			"proc/self/cgroup":                           "9:cpu:/x\n4:hugetlb,memory:/kubepods/pod1/c\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n",
			"sys/fs/cgroup/memory/kubepods/memory.max":   "1\n",
		}, 2 << 30},
		"the first version without a limit": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		"nonsense": {map[string]string{"proc/self/cgroup": "\n::\n0::../../x\nmemory", "sys/fs/cgroup/memory.max": "-5"}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range tc.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := Container(root); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func FuzzContainer(f *testing.F) {
	f.Add("0::/a/b\n", "123")
	f.Add("4:memory:/\n0::/", "max")
	f.Fuzz(func(t *testing.T, groups, limit string) {
		root := fstest.MapFS{
			"proc/self/cgroup":         &fstest.MapFile{Data: []byte(groups)},
			"sys/fs/cgroup/memory.max": &fstest.MapFile{Data: []byte(limit)},
		}
		if got := Container(root); got < 0 {
			t.Errorf("a limit of %d", got)
		}
	})
}

func TestLimit(t *testing.T) {
	got, err := Limit(16<<30, 12<<30)
	if want := int64(16<<30 - 16<<30/10 - 12<<30); got != want || err != nil {
		t.Errorf("got %d, %v, want %d", got, err, want)
	}
	if got, err := Limit(16<<30, 15<<30); !errors.Is(err, ErrTight) {
		t.Errorf("a heap beside weights that fill the container: %d, %v", got, err)
	}
}
