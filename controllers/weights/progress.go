package weights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
	"github.com/gptoss/gptoss-operator/controllers/resources"
	"github.com/gptoss/gptoss-operator/server/options"
)

const (
	askTimeout = 2 * time.Second
	maxAnswer  = 64 << 10
	maxMessage = 1024 // of a condition, which people read
	maxSeconds = 1 << 30
	earlyShare = 5 // of the interval
)

// Asker gets the progress of a download.
type Asker func(ctx context.Context, url string) (options.CacheProgress, error)

// answers are the last ones, by model.
type answers struct {
	mu   sync.Mutex
	last map[types.NamespacedName]answer
}

type answer struct {
	pod      types.UID
	at       time.Time
	progress *options.CacheProgress // nil while the pod has never answered
}

func (a *answers) forget(key types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.last, key)
}

// due returns the last answer of a pod, and whether it is time to ask again; who is told so must.
func (a *answers) due(key types.NamespacedName, pod types.UID, now time.Time, interval time.Duration) (*options.CacheProgress, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, known := a.last[key]
	if known && last.pod == pod && now.Sub(last.at) < patience(last.progress, interval) {
		return last.progress, false
	}
	if last.pod != pod {
		last = answer{pod: pod}
	}
	last.at = now
	if a.last == nil {
		a.last = map[types.NamespacedName]answer{}
	}
	a.last[key] = last
	return last.progress, true
}

func (a *answers) note(key types.NamespacedName, pod types.UID, p options.CacheProgress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.last[key]; ok && last.pod == pod {
		last.progress = &p
		a.last[key] = last
	}
}

// early reports whether a download has only begun to ask what there is: there is nothing to show yet.
func early(p *options.CacheProgress) bool {
	return p != nil && p.Phase == options.CacheDownloading && p.Bytes == 0 && p.TotalBytes == 0 && p.Trouble == ""
}

// patience is how long to wait for the next answer: until there is something to show it is asked more often.
func patience(p *options.CacheProgress, interval time.Duration) time.Duration {
	if early(p) {
		return interval / earlyShare
	}
	return interval
}

// progress asks the pod, if it is time to, and returns the last answer; nil when there was none. A pod that does not answer
// is no failure: a network policy, or an operator outside of the cluster, may be in the way.
func (k *Keeper) progress(ctx context.Context, model types.NamespacedName, pod *corev1.Pod) *options.CacheProgress {
	last, due := k.answers.due(model, pod.UID, k.now(), k.Interval)
	address := progressAddress(pod)
	if !due || address == "" {
		return last
	}
	ask := k.Ask
	if ask == nil {
		ask = overHTTP
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	p, err := ask(ctx, address)
	if err != nil {
		log.FromContext(ctx).V(1).Info("a download does not say how far it is", "pod", pod.Name, "error", err.Error())
		return last
	}
	k.answers.note(model, pod.UID, p)
	return &p
}

// progressAddress is where a pod answers, empty while it has no address.
func progressAddress(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if port.Name == resources.ProgressPort && pod.Status.PodIP != "" {
				u := url.URL{Scheme: "http", Host: net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort))), Path: options.CacheProgressPath}
				return u.String()
			}
		}
	}
	return ""
}

// plain asks pods, directly and each anew: they are asked seldom.
var plain = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
}

func overHTTP(ctx context.Context, address string) (p options.CacheProgress, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return p, err
	}
	response, err := plain.Do(r)
	if err != nil {
		return p, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return p, fmt.Errorf("HTTP %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return p, err
	}
	return decode(data)
}

// decode reads an answer, which anything that runs in the pod may have written.
func decode(data []byte) (p options.CacheProgress, err error) {
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("weights: progress: %w", err)
	}
	if p.Phase != options.CacheDownloading && p.Phase != options.CachePacking {
		return p, fmt.Errorf("weights: progress: unknown phase %.40q", p.Phase)
	}
	if p.Bytes < 0 || p.TotalBytes < 0 || p.SecondsLeft != nil && *p.SecondsLeft < 0 {
		return p, errors.New("weights: progress: negative numbers")
	}
	if p.SecondsLeft != nil {
		p.SecondsLeft = new(min(*p.SecondsLeft, maxSeconds))
	}
	p.Trouble = shorten(strings.ToValidUTF8(p.Trouble, ""))
	return p, nil
}

// status is progress as the object shows it.
func status(p *options.CacheProgress) *v1alpha1.DownloadStatus {
	if p == nil || early(p) {
		return nil
	}
	s := &v1alpha1.DownloadStatus{Phase: p.Phase, Bytes: p.Bytes, TotalBytes: p.TotalBytes}
	if p.SecondsLeft != nil {
		s.RemainingSeconds = new(coarse(*p.SecondsLeft))
	}
	return s
}

// coarse rounds seconds up to what an estimate is worth.
func coarse(seconds int64) int64 {
	step := int64(60)
	if seconds < 120 {
		step = 10
	}
	return (seconds + step - 1) / step * step
}

// describe says how far a download is.
func describe(m *v1alpha1.GptOssModel, p *options.CacheProgress) string {
	verb := "downloading "
	if p != nil && p.Phase == options.CachePacking {
		verb = "packing "
	}
	var b strings.Builder
	b.WriteString(verb + origin(m.Spec.Model.Source))
	if p == nil {
		return b.String()
	}
	if p.TotalBytes > 0 {
		fmt.Fprintf(&b, ": %s of %s", gigabytes(p.Bytes), gigabytes(p.TotalBytes))
		if p.SecondsLeft != nil {
			fmt.Fprintf(&b, ", about %s left", time.Duration(coarse(*p.SecondsLeft))*time.Second)
		}
	}
	if p.Trouble != "" {
		fmt.Fprintf(&b, "; %s", p.Trouble)
	}
	return shorten(b.String())
}

// origin names the source, without what may be secret in a URL.
func origin(s v1alpha1.ModelSource) string {
	if s.HuggingFace != nil {
		if s.HuggingFace.Revision != "" {
			return s.HuggingFace.Repo + "@" + s.HuggingFace.Revision
		}
		return s.HuggingFace.Repo
	}
	address, _, _ := strings.Cut(s.HTTP.URL, "?")
	return address
}

func gigabytes(n int64) string {
	if n < 100_000_000 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

func shorten(message string) string {
	message = strings.TrimSpace(message)
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage
	for cut > 0 && !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "…"
}

func (k *Keeper) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}
