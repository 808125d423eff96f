package weights

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/server/options"
)

func modelOf(s v1alpha1.ModelSource) *v1alpha1.GptOssModel {
	m := &v1alpha1.GptOssModel{}
	m.Spec.Model.Source = s
	return m
}

func TestDescribe(t *testing.T) {
	hub := v1alpha1.ModelSource{HuggingFace: &v1alpha1.HuggingFaceSource{Repo: "a/b", Revision: "v2"}}
	left := int64(601)
	for name, tc := range map[string]struct {
		source   v1alpha1.ModelSource
		progress *options.CacheProgress
		want     string
	}{
		"nothing known": {hub, nil, "downloading a/b@v2"},
		"a total":       {hub, &options.CacheProgress{Phase: "Downloading", Bytes: 5_149_000_000, TotalBytes: 13_800_000_000}, "downloading a/b@v2: 5.1 GB of 13.8 GB"},
		"a time":        {hub, &options.CacheProgress{Phase: "Packing", Bytes: 1_000_000, TotalBytes: 2_000_000, SecondsLeft: &left}, "packing a/b@v2: 1.0 MB of 2.0 MB, about 11m0s left"},
		"trouble": {
			v1alpha1.ModelSource{HTTP: &v1alpha1.HTTPSource{URL: "https://x/m.gguf?signature=hush"}},
			&options.CacheProgress{Phase: "Downloading", Trouble: "x does not accept connections; trying again in 2s"},
			"downloading https://x/m.gguf; x does not accept connections; trying again in 2s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(modelOf(tc.source), tc.progress); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	for seconds, want := range map[int64]int64{0: 0, 1: 10, 10: 10, 61: 70, 119: 120, 120: 120, 121: 180, 3600: 3600} {
		if got := coarse(seconds); got != want {
			t.Errorf("%d s are %d, want %d", seconds, got, want)
		}
	}
}

// TestProgress asks a pod with a clock that stands still until it is moved.
func TestProgress(t *testing.T) {
	now, asked := time.Unix(0, 0), 0
	var fails error
	k := &Keeper{Interval: 15 * time.Second, Now: func() time.Time { return now }, Ask: func(_ context.Context, url string) (options.CacheProgress, error) {
		asked++
		if url != "http://[fd00::7]:8080/progress" {
			t.Errorf("asked %s", url)
		}
		p := options.CacheProgress{Phase: options.CacheDownloading, Bytes: int64(asked)}
		if asked == 1 {
			p.Bytes = 0 // it only asks the source itself
		}
		return p, fails
	}}
	key := types.NamespacedName{Namespace: "team", Name: "chat"}
	pod := &corev1.Pod{}
	pod.UID = "1"
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: resources.ProgressPort, ContainerPort: 8080}}}}
	if p := k.progress(t.Context(), key, pod); p != nil || asked != 0 {
		t.Errorf("a pod without address: %+v, asked %d times", p, asked)
	}
	now = now.Add(15 * time.Second)
	pod.Status.PodIP = "fd00::7"
	steps := []struct {
		what       string
		after      time.Duration
		pod        types.UID
		fails      error
		wantBytes  int64
		wantAsked  int
		wantNobody bool
	}{
		{what: "the first time", pod: "1", wantBytes: 0, wantAsked: 1},
		{what: "too early, with nothing to show", after: 2 * time.Second, pod: "1", wantBytes: 0, wantAsked: 1},
		{what: "in time, with nothing to show", after: time.Second, pod: "1", wantBytes: 2, wantAsked: 2},
		{what: "too early", after: 14 * time.Second, pod: "1", wantBytes: 2, wantAsked: 2},
		{what: "in time", after: time.Second, pod: "1", wantBytes: 3, wantAsked: 3},
		{what: "no answer", after: 15 * time.Second, pod: "1", fails: errors.New("timeout"), wantBytes: 3, wantAsked: 4},
		{what: "no answer, asked a moment ago", after: time.Second, pod: "1", fails: errors.New("timeout"), wantBytes: 3, wantAsked: 4},
		{what: "another pod says nothing", pod: "2", fails: errors.New("timeout"), wantAsked: 5, wantNobody: true},
		{what: "another pod", after: 15 * time.Second, pod: "2", wantBytes: 6, wantAsked: 6},
	}
	for _, s := range steps {
		now, fails, pod.UID = now.Add(s.after), s.fails, s.pod
		p := k.progress(t.Context(), key, pod)
		if asked != s.wantAsked || (p == nil) != s.wantNobody || p != nil && p.Bytes != s.wantBytes {
			t.Errorf("%s: %+v, asked %d times; want %d bytes, %d times", s.what, p, asked, s.wantBytes, s.wantAsked)
		}
	}
	k.Forget(key)
	if len(k.answers.last) != 0 {
		t.Error("a model that is gone is remembered")
	}
}

func TestOverHTTP(t *testing.T) {
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"/good": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"phase":"Packing","bytes":3,"total_bytes":4}`)
		},
		"/redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) },
		"/missing":  http.NotFound,
		"/long":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxAnswer), "{}") },
		"/text":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "3 of 4") },
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w, r) }))
	t.Cleanup(s.Close)
	for path := range answers {
		p, err := overHTTP(t.Context(), s.URL+path)
		if (err == nil) != (path == "/good") {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
		if want := (options.CacheProgress{Phase: "Packing", Bytes: 3, TotalBytes: 4}); err == nil && !cmp.Equal(p, want) {
			t.Errorf("%s: %+v, want %+v", path, p, want)
		}
	}
}

func TestPodTrouble(t *testing.T) {
	waitingFor := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Image: "i", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
	}
	for name, tc := range map[string]struct {
		status        corev1.PodStatus
		want, message string
	}{
		"no volume": {
			corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "pod has unbound immediate PersistentVolumeClaims"}}},
			"WaitingForCapacity", "the download's pod: pod has unbound immediate PersistentVolumeClaims",
		},
		"no image":           {waitingFor("ImagePullBackOff", "Back-off 10s"), "ImagePullFailed", `the download's image "i" cannot be pulled`},
		"no container":       {waitingFor("CreateContainerConfigError", `secret "hub" not found`), "ContainerConfigFailed", `the download's pod: secret "hub" not found`},
		"it only takes time": {waitingFor("ContainerCreating", ""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := podTrouble(&corev1.Pod{Status: tc.status})
			if s == nil {
				s = &State{}
			}
			if s.Reason != tc.want || s.Message != tc.message {
				t.Errorf("%+v, want %s: %s", s, tc.want, tc.message)
			}
		})
	}
}

// FuzzDecode: whatever a pod answers, what comes of it fits into the status of an object.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"phase":"Downloading","bytes":5,"total_bytes":9,"seconds_left":3}`, `{"phase":"Packing","seconds_left":null,"trouble":"x"}`,
		`{"phase":"Downloading","bytes":-1}`, `{"phase":"Downloading","seconds_left":-1}`, `{"phase":"Downloading","bytes":1e99}`, `[]`, ``,
		`{"phase":"Downloading","bytes":9223372036854775807,"total_bytes":9223372036854775807,"seconds_left":9223372036854775807,"trouble":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	m := modelOf(v1alpha1.ModelSource{HuggingFace: &v1alpha1.HuggingFaceSource{Repo: "a/b"}})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode(data)
		if err != nil {
			return
		}
		if text := describe(m, &p); len(text) > maxMessage+len("…") || strings.ToValidUTF8(text, "") != text {
			t.Errorf("message of %d bytes: %q", len(text), text)
		}
		if s := status(&p); s.Bytes < 0 || s.TotalBytes < 0 || len(s.Phase) > 32 || s.RemainingSeconds != nil && *s.RemainingSeconds < 0 {
			t.Errorf("status %+v", s)
		}
	})
}
