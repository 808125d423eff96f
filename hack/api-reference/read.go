package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// comment is a comment of the API without its markers, and the markers.
type comment struct {
	text     string
	markers  map[string][]string
	optional bool
}

// field is one entry of an object.
type field struct {
	comment
	name   string // as in YAML; empty for an inlined struct
	goType string // as in Go, without pointers
	base   string // the type of the package that goType is made of, if any
}

// typ is one named type.
type typ struct {
	comment
	name       string
	fields     []field
	underlying string   // of a type that is no struct
	values     []string // the constants of such a type
}

// group is a block of string constants: conditions, or reasons of one.
type group struct {
	text      string
	constants []constant
}

type constant struct{ text, value string }

// api is what the package of types says.
type api struct {
	types  map[string]*typ
	groups []group
}

// read parses the package in a folder.
func read(folder string) (*api, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	a := &api{types: map[string]*typ{}}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "zz_") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		a.readTypes(file)
	}
	for _, file := range files {
		a.readConstants(file)
	}
	if a.types[kind] == nil {
		return nil, fmt.Errorf("%s has no type %s", folder, kind)
	}
	return a, nil
}

func (a *api) readTypes(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		for _, spec := range decl.Specs {
			s := spec.(*ast.TypeSpec)
			doc := s.Doc
			if doc == nil {
				doc = decl.Doc
			}
			t := &typ{comment: parseComment(doc), name: s.Name.Name}
			if structure, ok := s.Type.(*ast.StructType); ok {
				for _, f := range structure.Fields.List {
					t.fields = append(t.fields, parseField(f))
				}
			} else {
				t.underlying, _ = typeName(s.Type)
			}
			a.types[t.name] = t
		}
	}
}

// readConstants adds constants of a type to it, and blocks of plain strings to the groups.
func (a *api) readConstants(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		g := group{text: strings.TrimSpace(decl.Doc.Text())}
		for _, spec := range decl.Specs {
			s := spec.(*ast.ValueSpec)
			if len(s.Values) != 1 {
				continue
			}
			literal, ok := s.Values[0].(*ast.BasicLit)
			if !ok {
				continue
			}
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				continue // a number
			}
			name, _ := s.Type.(*ast.Ident)
			if name != nil && a.types[name.Name] != nil {
				a.types[name.Name].values = append(a.types[name.Name].values, value)
				continue
			}
			if s.Names[0].IsExported() && (strings.HasPrefix(s.Names[0].Name, "Condition") || strings.HasPrefix(s.Names[0].Name, "Reason")) {
				text := strings.TrimSpace(strings.TrimPrefix(s.Doc.Text(), s.Names[0].Name))
				g.constants = append(g.constants, constant{text: strings.TrimSpace(strings.TrimPrefix(text, ":")), value: value})
			}
		}
		if len(g.constants) > 0 {
			a.groups = append(a.groups, g)
		}
	}
}

func parseField(f *ast.Field) field {
	out := field{comment: parseComment(f.Doc)}
	out.goType, out.base = typeName(f.Type)
	if f.Tag == nil {
		return out
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return out
	}
	out.name, _, _ = strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	out.text = strings.TrimSpace(strings.TrimPrefix(out.text, out.name+" "))
	return out
}

// typeName writes a type as Go does, without pointers; base is its element's name where that is of this package.
func typeName(e ast.Expr) (name, base string) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		element, base := typeName(e.Elt)
		return "[]" + element, base
	case *ast.MapType:
		key, _ := typeName(e.Key)
		value, base := typeName(e.Value)
		return "map[" + key + "]" + value, base
	case *ast.SelectorExpr:
		pkg, _ := typeName(e.X)
		return pkg + "." + e.Sel.Name, ""
	}
	return "object", ""
}

// parseComment tells sentences from markers.
func parseComment(doc *ast.CommentGroup) comment {
	c := comment{markers: map[string][]string{}}
	var lines []string
	if doc == nil {
		return c
	}
	for _, line := range doc.List {
		text := strings.TrimPrefix(strings.TrimPrefix(line.Text, "//"), " ")
		marker, isMarker := strings.CutPrefix(text, "+")
		if !isMarker {
			lines = append(lines, text)
			continue
		}
		if marker == "optional" {
			c.optional = true
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(marker, "kubebuilder:validation:"), "=")
		if rule, found := strings.CutPrefix(key, "XValidation:"); found {
			key, value = "XValidation", rule+"="+value
		}
		c.markers[key] = append(c.markers[key], value)
	}
	c.text = strings.TrimSpace(strings.Join(lines, "\n"))
	return c
}
