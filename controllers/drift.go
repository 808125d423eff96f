package controllers

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The API server records, for each field of an object, who set it by server-side apply (metadata.managedFields). An
// object is in sync when the fields recorded for us are exactly the desired ones and each has the desired value. That
// finds every drift: a value changed by somebody else, a field or list item removed, a field that we set once and no
// longer want, and ownership taken over. It is blind, as it should be, to fields of others and to the server's defaults.
// Lists are the exception: ports, containers or volumes that others added to a list of ours are drift too.

// owned returns the tree of fields that the manager has set by apply, in the form of FieldsV1, or nil.
func owned(meta metav1.Object, manager string) map[string]any {
	for _, entry := range meta.GetManagedFields() {
		if entry.Manager != manager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return nil // unreadable counts as not ours, so that the next apply writes it anew
		}
		return fields
	}
	return nil
}

// owns reports whether the manager has set the field at the path.
func owns(meta metav1.Object, manager string, path ...string) bool {
	fields := owned(meta, manager)
	for _, name := range path {
		child, ok := fields["f:"+name].(map[string]any)
		if !ok {
			return false
		}
		fields = child
	}
	return true
}

// inSync reports whether live, an object read from the cluster, is what applying desired would make of it.
func inSync(desired, live map[string]any, fields map[string]any) bool {
	return fields != nil && mapInSync(identityStripped(desired), live, fields)
}

// identityStripped leaves out what names an object rather than describes it; managedFields never holds that.
func identityStripped(desired map[string]any) map[string]any {
	out := make(map[string]any, len(desired))
	for key, value := range desired {
		switch key {
		case "apiVersion", "kind":
		case "metadata":
			meta, _ := value.(map[string]any)
			kept := make(map[string]any, len(meta))
			for k, v := range meta {
				if k == "labels" || k == "annotations" || k == "ownerReferences" {
					kept[k] = v
				}
			}
			out[key] = kept
		default:
			out[key] = value
		}
	}
	return out
}

func mapInSync(desired, live, fields map[string]any) bool {
	if surplus(desired, live) {
		return false
	}
	for name, want := range desired {
		sub, ours := fields["f:"+name].(map[string]any)
		have, exists := live[name]
		if !ours || !exists || !valueInSync(want, have, sub) {
			return false
		}
	}
	for field := range fields {
		name, isField := strings.CutPrefix(field, "f:")
		if _, wanted := desired[name]; isField && !wanted {
			return false
		}
	}
	return true
}

// valueInSync compares one field. Without children in fields the value is a scalar, or a list or map that the API
// treats as a whole; an empty desired map stands for a struct of which nothing is set.
func valueInSync(desired, live any, fields map[string]any) bool {
	want, isMap := desired.(map[string]any)
	have, liveIsMap := live.(map[string]any)
	if isMap && len(want) == 0 && len(fields) == 0 {
		return liveIsMap
	}
	if len(fields) == 0 {
		return matches(desired, live)
	}
	if isMap {
		return liveIsMap && mapInSync(want, have, fields)
	}
	wantList, isList := desired.([]any)
	haveList, liveIsList := live.([]any)
	return isList && liveIsList && listInSync(wantList, haveList, fields)
}

// matches compares what the API treats as a whole. The server completes the items of such lists with its defaults; a
// change by anybody else would have taken the whole from us.
func matches(desired, live any) bool {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		for name := range want {
			ok = ok && matches(want[name], have[name])
		}
		return ok
	case []any:
		have, ok := live.([]any)
		ok = ok && len(have) == len(want)
		for i := range want {
			ok = ok && matches(want[i], have[i])
		}
		return ok
	}
	return reflect.DeepEqual(desired, live)
}

// listInSync compares a list whose items are told apart by keys, such as containers by their name.
func listInSync(desired, live []any, fields map[string]any) bool {
	keyed := 0
	for field, sub := range fields {
		text, isKey := strings.CutPrefix(field, "k:")
		if !isKey {
			if field == "." {
				continue
			}
			return matches(desired, live) // a set of scalars
		}
		keyed++
		var key map[string]any
		if err := json.Unmarshal([]byte(text), &key); err != nil {
			return false
		}
		children, _ := sub.(map[string]any)
		want, have := find(desired, key), find(live, key)
		if want == nil || have == nil || !valueInSync(want, have, children) {
			return false
		}
	}
	return keyed == len(desired)
}

// surplus reports whether a list in live holds more items than desired has. Owners are left out: an object may have several.
func surplus(desired, live map[string]any) bool {
	for name, want := range desired {
		list, isList := want.([]any)
		have, _ := live[name].([]any)
		if isList && name != "ownerReferences" && len(have) > len(list) {
			return true
		}
	}
	return false
}

// anySurplus looks for surplus at every depth. Items of lists are told apart by their names.
func anySurplus(desired, live map[string]any) bool {
	if surplus(desired, live) {
		return true
	}
	for name, want := range desired {
		switch want := want.(type) {
		case map[string]any:
			if have, ok := live[name].(map[string]any); ok && anySurplus(want, have) {
				return true
			}
		case []any:
			have, _ := live[name].([]any)
			for _, item := range want {
				if m, ok := item.(map[string]any); ok && m["name"] != nil {
					if h := find(have, map[string]any{"name": m["name"]}); h != nil && anySurplus(m, h) {
						return true
					}
				}
			}
		}
	}
	return false
}

// overlay returns live with everything in desired put over it: maps are merged, values and lists, but of owners, replaced.
func overlay(desired, live map[string]any) map[string]any {
	out := maps.Clone(live)
	for name, want := range desired {
		wantMap, isMap := want.(map[string]any)
		haveMap, liveIsMap := live[name].(map[string]any)
		if isMap && liveIsMap {
			want = overlay(wantMap, haveMap)
		}
		if name != "ownerReferences" || live[name] == nil {
			out[name] = want
		}
	}
	return out
}

// find returns the item that has all of the key's values. Numbers in keys are floats, those in objects integers.
func find(items []any, key map[string]any) map[string]any {
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		matches := true
		for name, value := range key {
			if n, isNumber := value.(float64); isNumber {
				value = int64(n)
			}
			matches = matches && reflect.DeepEqual(m[name], value)
		}
		if matches {
			return m
		}
	}
	return nil
}
