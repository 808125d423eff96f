package diagnosis

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// maxWords bounds what is repeated of a message, in bytes: a sentence is read by people.
const maxWords = 500

// words makes a message fit into a sentence: one line, bounded, no full stop of its own.
func words(message string) string {
	text := strings.TrimRight(strings.Join(strings.Fields(message), " "), ". ")
	if len(text) <= maxWords {
		return text
	}
	cut := maxWords
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// lastLine is the last line that says something. Of a line in the server's JSON log it is the message and the error.
func lastLine(text string) string {
	line := ""
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			line = l
		}
	}
	var record struct {
		Msg   string `json:"msg"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg == "" {
		return words(line)
	}
	if record.Error != "" {
		return words(record.Msg + ": " + record.Error)
	}
	return words(record.Msg)
}

func owned(o metav1.Object, m *v1alpha1.GptOssModel) bool { return metav1.IsControlledBy(o, m) }

// ownerWords says whose a foreign object is, as far as it tells.
func ownerWords(o metav1.Object) string {
	if c := metav1.GetControllerOf(o); c != nil {
		return fmt.Sprintf("belongs to %s %q", c.Kind, c.Name)
	}
	if by := o.GetLabels()["app.kubernetes.io/managed-by"]; by != "" {
		return fmt.Sprintf("is managed by %q", by)
	}
	return "does not belong to this model"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
