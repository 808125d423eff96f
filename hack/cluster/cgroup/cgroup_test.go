package cgroup

import (
	"slices"
	"testing"
)

const (
	v1Mounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	v2Mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		mounts, groups string
		want           []Hierarchy
		wantError      bool
	}{
		"version 1 with joint controllers, a name and a bare version 2 tree": {
			mounts: v1Mounts,
			groups: "9:name=systemd:/\n8:pids:/\n4:memory:/jobs/a b\n1:cpu,cpuacct:/\n0::/\n",
			want: []Hierarchy{
				{"/sys/fs/cgroup/systemd", "none,name=systemd", "/sys/fs/cgroup/systemd"},
				{"/sys/fs/cgroup/pids", "pids", "/sys/fs/cgroup/pids"},
				{"/sys/fs/cgroup/memory", "memory", "/sys/fs/cgroup/memory/jobs/a b"},
				{"/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"},
			},
		},
		"version 1 in a container whose mounts show its own groups only": {
			mounts: `1 1 0:1 /docker/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
1 1 0:1 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
1 1 0:1 /docker/x /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
`,
			groups: "3:cpu:/docker/x\n2:memory:/docker/x/sub\n1:pids:/docker/y\n",
			want: []Hierarchy{
				{"/sys/fs/cgroup/cpu", "cpu", "/sys/fs/cgroup/cpu"},
				{"/sys/fs/cgroup/memory", "memory", "/sys/fs/cgroup/memory/sub"},
				{"/sys/fs/cgroup/pids", "pids", "/sys/fs/cgroup/pids"},
			},
		},
		"version 2 alone": {
			mounts: v2Mounts, groups: "0::/user.slice/session-1.scope\n",
			want: []Hierarchy{{"/sys/fs/cgroup", "", "/sys/fs/cgroup/user.slice/session-1.scope"}},
		},
		"version 1 without the memory controller": {
			mounts: v1Mounts, groups: "8:pids:/\n1:cpu,cpuacct:/\n0::/\n", wantError: true,
		},
		"no control groups": {mounts: "27 1 254:0 / / rw - ext4 /dev/vda rw\n", groups: "0::/\n", wantError: true},
		"rubbish":           {mounts: "x\n - \n\n", groups: "::\nabc\n", wantError: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tc.mounts, tc.groups)
			if gotError := err != nil; gotError != tc.wantError {
				t.Fatalf("error = %v, want one: %v", err, tc.wantError)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"plain":                        {"/a/b", "/a/b"},
		"a space":                      {`/a\040b`, "/a b"},
		"a backslash":                  {`/a\134b`, `/a\b`},
		"a backslash that escapes not": {`/a\9zz\0`, `/a\9zz\0`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := unescape(tc.in); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
