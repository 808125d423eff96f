package metricsapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gptoss/gptoss-operator/controllers/resources"
)

const (
	// maxText bounds what is read of a pod's metrics. vLLM with all of its histograms writes some 200 KB.
	maxText = 2 << 20

	maxLine = 64 << 10

	// maxActive is more than any server holds; beyond it the number is taken for nonsense.
	maxActive = 1 << 30
)

// gauges are, for each server, those whose sum is its active requests: running and waiting ones. The first line of
// which all are there counts; gptoss-server shows vLLM's names too.
var gauges = [][]string{
	{resources.ActiveRequestsMetric},
	{"vllm:num_requests_running", "vllm:num_requests_waiting"},
	{"tgi_batch_current_size", "tgi_queue_size"},
}

var errNoGauge = errors.New("metricsapi: the pod's metrics do not tell its active requests")

// active reads the number of active requests from metrics in Prometheus' text format.
func active(text io.Reader) (int64, error) {
	limited := &io.LimitedReader{R: text, N: maxText + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxLine)
	sums := map[string]float64{}
	for lines.Scan() {
		name, value, ok := sample(lines.Text())
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(n) || n < 0 || n > maxActive {
			return 0, fmt.Errorf("metricsapi: %s is %.32q, want a small number", name, value)
		}
		sums[name] += n
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("metricsapi: read metrics: %w", err)
	}
	if limited.N <= 0 {
		return 0, fmt.Errorf("metricsapi: the pod's metrics are longer than %d bytes", maxText)
	}
	return total(sums)
}

// sample splits a line into the name and value of one of the gauges.
func sample(line string) (name, value string, ok bool) {
	end := strings.IndexAny(line, "{ ")
	if end < 0 || !wanted(line[:end]) {
		return "", "", false
	}
	name, rest := line[:end], line[end:]
	// Labels' values may hold anything, but after the last brace come only the value and perhaps a time.
	rest = rest[strings.LastIndexByte(rest, '}')+1:]
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return name, "", true
	}
	return name, fields[0], true
}

func wanted(name string) bool {
	for _, names := range gauges {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// total adds up the gauges of the first server that has all of its own.
func total(sums map[string]float64) (int64, error) {
next:
	for _, names := range gauges {
		sum := 0.0
		for _, name := range names {
			n, ok := sums[name]
			if !ok {
				continue next
			}
			sum += n
		}
		return int64(math.Ceil(sum)), nil
	}
	return 0, errNoGauge
}
