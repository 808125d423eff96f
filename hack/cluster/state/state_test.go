package state

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	cases := map[string]struct{ own, xdg, home, want string }{
		"a folder of its own":        {"/g", "/x", "/h", "/g"},
		"the user's cache folder":    {"", "/x", "/h", "/x/gptoss-operator"},
		"the cache folder at home":   {"", "", "/h", "/h/.cache/gptoss-operator"},
		"an unclean path is cleaned": {"/g/../k/", "", "/h", "/k"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GPTOSS_CACHE", tc.own)
			t.Setenv("XDG_CACHE_HOME", tc.xdg)
			t.Setenv("HOME", tc.home)
			if got, err := Cache(); err != nil || got != tc.want {
				t.Errorf("Cache() = %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestNodeRecord(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "c"))
	if _, ok, err := dir.Load(); ok || err != nil {
		t.Fatalf("Load of nothing = %v, %v; want no record and no error", ok, err)
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	want := Node{PID: 7, StartTime: 1 << 60, Bin: "/b", Groups: []string{"/g"}, Join: []string{"/g/node"}, Made: []string{"/m"}, Ready: true}
	if err := dir.Save(want); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := dir.Load(); !ok || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v, %v, %v; want %+v", got, ok, err, want)
	}
}

func TestGroupIsPerFolder(t *testing.T) {
	if Dir("/a").Group() == Dir("/b").Group() {
		t.Error("two folders have one control group")
	}
	if got, want := Dir("/a").Group(), Dir("/a").Group(); got != want {
		t.Errorf("one folder has two control groups, %s and %s", got, want)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("a free lock is busy") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	busy := false
	if _, err := Lock(ctx, path, func() { busy = true }); err == nil || !busy {
		t.Fatalf("a held lock: error %v, busy %v; want an error after being told so", err, busy)
	}
	unlock()
	again, err := Lock(t.Context(), path, func() { t.Error("a freed lock is busy") })
	if err != nil {
		t.Fatal(err)
	}
	again()
}
