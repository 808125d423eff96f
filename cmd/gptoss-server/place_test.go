package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gptoss/gptoss-operator/engine/weights/packed"
	"github.com/gptoss/gptoss-operator/engine/weights/placement"
	"github.com/gptoss/gptoss-operator/server/options"
)

// line is what the log says about weights.
type line struct {
	Msg, Load, Why string
	Percent        int
	Mapped         float64 `json:"mapped_gb_per_s"`
	Huge           float64 `json:"huge_pages_gb_per_s"`
}

func logged(t *testing.T, out *bytes.Buffer) (log []line) {
	t.Helper()
	for d := json.NewDecoder(out); d.More(); {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		log = append(log, l)
	}
	return log
}

// TestLoadPlaces opens a packed file with each value of --load and reads the log.
func TestLoadPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.gptoss")
	packTo(t, "demo", path)
	tests := map[string]struct {
		mapped bool
		log    []line
	}{
		"auto": {true, []line{{Msg: "weights", Load: "map", Why: "so small that it hardly matters"}}},
		"map":  {true, []line{{Msg: "weights", Load: "map", Why: "--load says so"}}},
		"copy": {false, []line{{Msg: "weights", Load: "copy", Why: "--load says so"}, {Msg: "copying weights", Percent: 100}}},
	}
	for load, tc := range tests {
		t.Run(load, func(t *testing.T) {
			o := options.Default()
			o.Model, o.Load = path, load
			var out bytes.Buffer
			s, err := open(t.Context(), o, newLogger(o, &out))
			if err != nil {
				t.Fatal(err)
			}
			if s.file.Mapped() != tc.mapped {
				t.Errorf("mapped is %v", s.file.Mapped())
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tc.log, logged(t, &out)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
	for name, change := range map[string]func(*options.Options){
		"too long a context": func(o *options.Options) { o.ContextLength = 1_000_000 },
		"an unknown kernel":  func(o *options.Options) { o.Kernel = "mmx" },
		"no such file":       func(o *options.Options) { o.Model, o.Load = path+"x", "copy" },
	} {
		o := options.Default()
		o.Model = path
		change(&o)
		var out bytes.Buffer
		if _, err := openPacked(t.Context(), o, newLogger(o, &out)); err == nil || out.Len() > 0 && o.Load == "auto" {
			t.Errorf("%s: error %v, log %q", name, err, out.String())
		}
	}
}

// TestPlace lets the choice fall on a copy, once of the file and once of one that is gone.
func TestPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.gptoss")
	packTo(t, "demo", path)
	choice := placement.Choice{Copy: true, Why: "faster", Speeds: placement.Speeds{Mapped: 10.04, Huge: 13.06, Ratio: 1.3}}
	chosen := line{Msg: "weights", Load: "copy", Why: "faster", Mapped: 10, Huge: 13.1}
	tests := map[string]struct {
		path   string
		mapped bool
		log    []line
	}{
		"a copy":              {path, false, []line{chosen, {Msg: "copying weights", Percent: 100}}},
		"a copy that failed ": {path + "x", true, []line{chosen, {Msg: "weights stay mapped, since they cannot be copied"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := readPacked(packed.Open(path))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if s, err = s.place(tc.path, choice, newLogger(options.Default(), &out)); err != nil {
				t.Fatal(err)
			}
			if s.file.Mapped() != tc.mapped {
				t.Errorf("mapped is %v", s.file.Mapped())
			}
			if diff := cmp.Diff(tc.log, logged(t, &out)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
