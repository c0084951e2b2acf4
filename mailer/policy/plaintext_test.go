package policy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPlainText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text":              {"Hello", "Hello"},
		"entities":          {"5 &lt; 6 &amp; 7&nbsp;mg", "5 < 6 & 7 mg"},
		"paragraphs":        {"<p>Dear Ada,</p>\n<p>EF 45.</p>", "Dear Ada,\n\nEF 45."},
		"breaks":            {"a<br>b<br/>c<br><br>d", "a\nb\nc\n\nd"},
		"collapsed":         {"a \n\t b", "a b"},
		"final accent":      {"voil<i>à</i>!", "voilà!"},
		"inline":            {"<b>a</b>b <i>c</i>", "ab c"},
		"list":              {"<ul><li>one<li>two</ul>", "- one\n- two"},
		"table":             {"<table><tr><td>Na</td><td>140</td></tr><tr><td>K</td><td>4</td></tr></table>", "Na 140\nK 4"},
		"head":              {"<html><head><title>T</title></head><body>b</body></html>", "b"},
		"script":            {"a<script>alert('x</b>')</script>b", "ab"},
		"script in style":   {"a<style><script></style>b</script>c", "abc"},
		"unclosed script":   {"a<script>b", "a"},
		"comment":           {"a<!-- hidden -->b", "ab"},
		"hidden":            {"a<div style='display : none'>b<div>c</div></div>d", "ad"},
		"hidden attribute":  {"a<span hidden>b</span>c", "ac"},
		"hidden void":       {"a<img hidden>b", "ab"},
		"hidden, not ended": {"<p hidden>a<p>b<p style='display:none'>c<div>d</div>", "b\nd"},
		"hidden cells":      {"<table><tr><td hidden>a<td>b</tr><tr hidden><td>c<tr><td>d</table>", "b\nd"},
		"hidden item":       {"<ul><li hidden>a</ul>b", "b"},
		"head, not ended":   {"<head><title>T</title><meta name=a><body>b", "b"},
		"base64 in words":   {"it says base64,aGVsbG8= there", "it says base64,aGVsbG8= there"},
		"filler letters":    {"a\u3164\u115f\u034fb", "ab"},
		"link":              {`see <a href="https://evil.example/x">www.clinic.example</a> now`, "see www.clinic.example <https://evil.example/x> now"},
		"link is itself":    {`<a href="https://a.example/">https://a.example</a>`, "https://a.example"},
		"mail link":         {`<a href="mailto:a@b.example">a@b.example</a>`, "a@b.example"},
		"script link":       {`<a href="javascript:alert(1)">go</a>`, "go"},
		"open link":         {`<a href="https://a.example">go`, "go <https://a.example>"},
		"image":             {`<img src="https://track.example/1.gif" alt="Our logo">`, "[Our logo]"},
		"right-to-left":     {"invoice\u202efdp.exe", "invoicefdp.exe"},
		"zero width":        {"pay\u200bpal", "paypal"},
		"joiner kept":       {"\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"},
		"control":           {"a\x00\x1b[31mb", "a[31mb"},
		"no UTF-8":          {"a\xffb", "a\uFFFDb"},
		"nothing":           {"", ""},
		"unknown element":   {"<o:p>a</o:p>", "a"},
		"attribute repeats": {`<a href="https://a.example/1" href="https://b.example">x</a>`, "x <https://a.example/1>"},
	} {
		if got := PlainText(c.in); got != c.want {
			t.Errorf("%s: %q became %q, not %q", name, c.in, got, c.want)
		}
	}
}

func TestPlainTextIsBounded(t *testing.T) {
	for name, in := range map[string]string{
		"long text":   strings.Repeat("word ", 1<<19),
		"many tokens": strings.Repeat("<b>", 1<<20),
		"deep":        strings.Repeat("<div>x", 1<<18),
	} {
		got := PlainText(in)
		if len(got) > maxPlain+4096 {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	if got := PlainText(strings.Repeat("word <b>", 1<<19)); !strings.HasSuffix(got, "too long to show here.]") {
		t.Error("a cut text does not say so")
	}
}

// TestPlainTextCostsLittle: one tag with names beyond number, and words beyond number.
func TestPlainTextCostsLittle(t *testing.T) {
	var tag strings.Builder
	tag.WriteString("<p")
	for n := range 500_000 {
		fmt.Fprintf(&tag, " %x", n)
	}
	tag.WriteString(">after")
	for name, in := range map[string]string{"one tag": tag.String(), "one text": strings.Repeat("a ", 1<<19)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		PlainText(in)
		runtime.ReadMemStats(&after)
		if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 {
			t.Errorf("%s: %d MiB", name, mib)
		}
	}
}

// TestPicturesInThePage: one may be longer than any tag, and what follows it is shown.
func TestPicturesInThePage(t *testing.T) {
	picture := `<img src="data:image/png;base64,` + strings.Repeat("iVBORw0K/+", 200_000) + `==">`
	if got := PlainText("before " + picture + picture + " after"); got != "before after" {
		t.Errorf("%.200q", got)
	}
}

func TestCleanLine(t *testing.T) {
	if got := CleanLine(" a\r\n\u202eb\x00  c "); got != "a b c" {
		t.Errorf("CleanLine = %q", got)
	}
}

func FuzzPlainText(f *testing.F) {
	f.Add("<p>a<b>b</p><a href=https://x>y</a>")
	f.Add("<script><!--<script></script>")
	f.Fuzz(func(t *testing.T, in string) {
		got := PlainText(in)
		if !utf8.ValidString(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		if strings.ContainsAny(got, "\x00\x1b\r\u202e\u2066") {
			t.Fatalf("not clean: %q", got)
		}
	})
}

// TestPlainTextOnly: RFC 9788, section 4.5.3.3. What is not marked in the part's header
// is shown as any other element.
func TestPlainTextOnly(t *testing.T) {
	const copied = `<div class="header-protection-legacy-display"><pre>Subject: x</pre></div>`
	for name, c := range map[string]struct{ in, want string }{
		"first":           {"<html><body>" + copied + "<p>hello</p></body></html>", "hello"},
		"later":           {"<p>hello</p>" + copied + "<p>you</p>", "hello\n\nyou"},
		"twice":           {copied + "hello" + copied, "hello"},
		"elements inside": {`<div class='header-protection-legacy-display'><div>a</div><div>b</div></div>hello`, "hello"},
		"several classes": {`<div class="x  header-protection-legacy-display y">a</div>hello`, "hello"},
		"another class":   {`<div class="header-protection-legacy-displays">a</div>hello`, "a\nhello"},
		"another element": {`<p class="header-protection-legacy-display">a</p>hello`, "a\n\nhello"},
		"in words":        {"header-protection-legacy-display", "header-protection-legacy-display"},
	} {
		if got := PlainTextOnly(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := PlainText(copied + "hello"); got != "Subject: x\n\nhello" {
		t.Errorf("not marked: %q", got)
	}
}
