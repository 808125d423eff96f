package metricsapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestReadingsAreSharedForAMoment(t *testing.T) {
	g, at := newGauge(t, 2), newClock(testStart)
	loads := NewLoads()
	loads.now = at.now
	pods := []corev1.Pod{*g.pod(t, "chat", "chat-a")}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := loads.Of(t.Context(), pods); got[0].Err != nil || got[0].Active != 2 {
				t.Errorf("got %+v, want 2", got)
			}
		})
	}
	all.Wait()
	if n := g.reads.Load(); n != 1 {
		t.Errorf("the pod was asked %d times at once, want once", n)
	}
	g.active.Store(5)
	at.advance(freshness)
	if got := loads.Of(t.Context(), pods); got[0].Active != 5 {
		t.Errorf("got %+v after the reading was old, want 5", got)
	}
	at.advance(2 * forgetAfter)
	loads.Of(t.Context(), []corev1.Pod{*g.pod(t, "chat", "chat-b")})
	if len(loads.readings) != 1 {
		t.Errorf("%d pods are remembered, want only the one that was asked for of late", len(loads.readings))
	}
}

func TestLoadsOfHostilePods(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	elsewhere := newGauge(t, 9)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"one that never answers": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, "deadline"},
		"one that sends us elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/metrics", http.StatusFound)
		}, "302"},
		"one that refuses": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "401"},
		"one that talks without end": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxText/16 + 9 {
				if _, err := w.Write([]byte("go_goroutines 8\n")); err != nil {
					return
				}
			}
		}, "longer than"},
		"one that says something else": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "do not tell"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gauge{Server: httptest.NewServer(tc.handler)}
			t.Cleanup(g.Close)
			got := NewLoads().Of(t.Context(), []corev1.Pod{*g.pod(t, "chat", "chat-a")})
			if got[0].Err == nil || !strings.Contains(got[0].Err.Error(), tc.want) {
				t.Errorf("got %+v, want an error with %q", got[0], tc.want)
			}
		})
	}
	if n := elsewhere.reads.Load(); n != 0 {
		t.Errorf("a redirect was followed")
	}
}

func TestAskingEndsWithTheAsker(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{}, 1)
	g := &gauge{Server: httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-r.Context().Done()
	}))}
	t.Cleanup(g.Close)
	go func() {
		<-started
		cancel()
	}()
	if got := NewLoads().Of(ctx, []corev1.Pod{*g.pod(t, "chat", "chat-a")}); got[0].Err == nil {
		t.Errorf("got %+v, want an error", got[0])
	}
}

func TestMetricsURL(t *testing.T) {
	base := func() *corev1.Pod {
		return &corev1.Pod{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar"}, {
				Name: "server", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8000}, {Name: "admin", ContainerPort: 9000}},
			}}},
			Status: corev1.PodStatus{PodIP: "10.0.0.7"},
		}
	}
	probe := func(scheme corev1.URIScheme, port intstr.IntOrString) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Scheme: scheme, Port: port}}}
	}
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string // empty for an error
	}{
		"the port by its name":        {func(*corev1.Pod) {}, "http://10.0.0.7:8000/metrics"},
		"the probe's port by name":    {func(p *corev1.Pod) { p.Spec.Containers[1].ReadinessProbe = probe("", intstr.FromString("admin")) }, "http://10.0.0.7:9000/metrics"},
		"the probe's number over TLS": {func(p *corev1.Pod) { p.Spec.Containers[1].ReadinessProbe = probe("HTTPS", intstr.FromInt32(443)) }, "https://10.0.0.7:443/metrics"},
		"IPv6":                        {func(p *corev1.Pod) { p.Status.PodIP = "fd00::7" }, "http://[fd00::7]:8000/metrics"},
		"no address yet":              {func(p *corev1.Pod) { p.Status.PodIP = "" }, ""},
		"an address that is a host":   {func(p *corev1.Pod) { p.Status.PodIP = "metadata.internal" }, ""},
		"no port":                     {func(p *corev1.Pod) { p.Spec.Containers[1].Ports = nil }, ""},
		"no server":                   {func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := base()
			tc.change(p)
			got, err := metricsURL(p)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestSumUp(t *testing.T) {
	known := func(n int64) Reading { return Reading{Active: n, At: testStart.Add(time.Duration(n))} }
	silent := Reading{Err: errNoGauge}
	for name, tc := range map[string]struct {
		readings []Reading
		want     int64
		ok       bool
	}{
		"all answer":                              {[]Reading{known(1), known(2), known(9)}, 12, true},
		"a silent one counts like the others":     {[]Reading{known(30), known(10), known(20), silent}, 80, true},
		"among idle ones it counts as the target": {[]Reading{known(0), known(0), known(0), silent}, 8, true},
		"one of three is too many":                {[]Reading{known(1), known(1), silent}, 0, false},
		"two of seven are too many":               {[]Reading{known(1), known(1), known(1), known(1), known(1), silent, silent}, 0, false},
		"none answers":                            {[]Reading{silent}, 0, false},
		"none is there":                           {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, ok := sumUp(tc.readings, 8)
			if diff := cmp.Diff([]any{tc.want, tc.ok}, []any{got, ok}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
