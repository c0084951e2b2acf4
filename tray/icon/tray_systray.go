//go:build !darwin || cgo

package icon

import (
	"runtime"
	"strings"
	"sync"

	"fyne.io/systray"
)

// library is the tray by fyne.io/systray. That can show one icon in a process, appends menu
// items only, and closes the channel of one that is removed: so all items there ever are made
// at the start, and hidden while they are not needed. Its items may be clicked though they are
// disabled; its calls panic when the bus has gone.
type library struct {
	chosen chan act

	mu       sync.Mutex
	lines    []*item
	cards    []*item
	cardRule *item // says that cards follow; items cannot be separated by what comes and goes
	choices  map[act]*item
	shown    picture
	tip      string
	fresh    bool // nothing of the above is known to be shown
}

// item is one line of the menu as it is shown.
type item struct {
	*systray.MenuItem
	title         string
	there, active bool
}

func newTray() (tray, error) {
	return &library{chosen: make(chan act), choices: map[act]*item{}, fresh: true}, nil
}

// run runs the library. What is set before it has begun is part of how it begins, on Linux;
// Windows has nowhere to put it yet.
func (l *library) run(ready func()) {
	first := func() {
		systray.SetTitle("Countersign")
		systray.SetIcon(pictureFile(padlock))
	}
	if runtime.GOOS != "windows" {
		first()
	}
	// Where there was never a bus it panics as it ends.
	_ = guarded(func() {
		systray.Run(func() {
			if runtime.GOOS == "windows" {
				first()
			}
			l.build()
			ready()
		}, nil)
	})
}

// build makes all items.
func (l *library) build() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range mostLines {
		l.lines = append(l.lines, l.line())
	}
	systray.AddSeparator()
	l.act(openPage, "Open Countersign")
	l.cardRule = l.line()
	for range mostCards {
		l.cards = append(l.cards, l.line())
	}
	l.act(lockCards, "Lock the cards")
	systray.AddSeparator()
	l.act(lockAll, "Lock now")
	l.act(putAway, "Quit icon")
	l.choices[putAway].put("Quit icon", true)
}

// line is an item that cannot be chosen, hidden.
func (l *library) line() *item {
	i := &item{MenuItem: systray.AddMenuItem("", ""), there: true}
	i.Disable()
	i.put("", false)
	return i
}

// act is an item that can be chosen, hidden until it is put.
func (l *library) act(a act, title string) {
	i := &item{MenuItem: systray.AddMenuItem(title, ""), title: title, there: true, active: true}
	l.choices[a] = i
	if a != putAway {
		i.put("", false)
	}
	go func() {
		for range i.ClickedCh {
			l.mu.Lock()
			can := i.there && i.active
			l.mu.Unlock()
			if can {
				l.chosen <- a
			}
		}
	}()
}

// put shows an item with that title, or hides it. l.mu is held.
func (i *item) put(title string, there bool) {
	if !there {
		if i.there {
			i.Hide()
		}
		i.there = false
		return
	}
	if i.title != title {
		i.SetTitle(literal(title))
		i.title = title
	}
	if !i.there {
		i.Show()
	}
	i.there = true
}

// literal writes a title so that no character of it underlines the next.
func literal(title string) string {
	mark := "_"
	if runtime.GOOS == "windows" {
		mark = "&"
	}
	return strings.ReplaceAll(title, mark, mark+mark)
}

func (l *library) set(v view) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return guarded(func() {
		if l.fresh || l.shown != v.picture {
			systray.SetIcon(pictureFile(v.picture))
		}
		if l.fresh || l.tip != v.tip {
			systray.SetTooltip(v.tip)
		}
		l.shown, l.tip, l.fresh = v.picture, v.tip, false
		fill(l.lines, v.lines)
		fill(l.cards, v.cards)
		l.cardRule.put("Cards", len(v.cards) > 0)
		l.choices[openPage].put("Open Countersign", v.open)
		l.choices[lockCards].put("Lock the cards", v.cardsUn)
		l.choices[lockAll].put(v.lock, v.lock != "")
	})
}

func fill(items []*item, titles []string) {
	for n, i := range items {
		if n < len(titles) {
			i.put(titles[n], true)
		} else {
			i.put("", false)
		}
	}
}

func (l *library) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = true
}

func (l *library) acts() <-chan act { return l.chosen }

func (l *library) quit() { _ = guarded(systray.Quit) }
