package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAlerts: each alert of the operator has a sentence, a severity and a runbook that is there.
func TestAlerts(t *testing.T) {
	const pages = "https://github.com/gptoss/gptoss-operator/blob/main/"
	rule, ok := kustomize(t, "config/prometheus")["PrometheusRule/gptoss-operator"]
	if !ok {
		t.Fatal("config/prometheus has no PrometheusRule")
	}
	alerts := 0
	for _, group := range list(nested(rule, "spec", "groups")) {
		for _, alert := range list(group["rules"]) {
			alerts++
			page, found := strings.CutPrefix(fmt.Sprint(nested(alert, "annotations", "runbook_url")), pages)
			if !found || filepath.Base(page) != fmt.Sprint(alert["alert"])+".md" {
				t.Errorf("%v sends people to %s", alert["alert"], page)
			}
			if _, err := os.Stat(filepath.Join(root, page)); err != nil {
				t.Error(err)
			}
			if nested(alert, "labels", "severity") == nil || nested(alert, "annotations", "summary") == nil || alert["for"] == nil {
				t.Errorf("%v lacks its severity, its summary or its patience", alert["alert"])
			}
		}
	}
	if alerts < 3 {
		t.Errorf("found %d alerts", alerts)
	}
}
