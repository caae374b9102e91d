//! Finds the places of a plan in a page, chunk by chunk, without changing the page.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use lol_html::send::{Element, ElementContentHandlers, EndTagHandler, HtmlRewriter, Settings};
use lol_html::{MemorySettings, OutputSink, Selector};

use super::{Item, Place, Spot};

/// A place that was found: the text of `item` goes to the byte `offset` of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: usize,
    pub(super) item: usize,
    /// It is inside of a list, where only list items belong.
    pub(super) in_list: bool,
}

/// What one chunk brought.
pub(super) struct Progress {
    /// Places, in the order of the page.
    pub(super) found: Vec<Found>,
    /// Nothing can be found any more before this offset.
    pub(super) settled: usize,
    /// Nothing can be found any more at all.
    pub(super) done: bool,
}

/// The parser with what it has found.
pub(super) struct Finder {
    rewriter: HtmlRewriter<'static, Settled>,
    shared: Shared,
}

type Shared = Arc<Mutex<State>>;

#[derive(Default)]
struct State {
    found: Vec<Found>,
    /// Items whose place has not been found.
    missing: usize,
    /// Bytes that the parser is through with.
    settled: usize,
    /// Depth in `<template>`, whose content is not shown.
    hidden: usize,
    body: Option<usize>,
    head: Option<usize>,
}

/// Memory that the parser may use for one page: tags longer than that are not searched.
const MAX_MEMORY: usize = 256 * 1024;

impl Finder {
    pub(super) fn new(items: &[Item]) -> Self {
        let shared = Shared::default();
        let mut settings = Settings::new_send()
            .with_strict(false)
            .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY));
        {
            let mut state = lock(&shared);
            state.missing = items.len();
            for (item, Item { spot, .. }) in items.iter().enumerate() {
                match spot {
                    Spot::BodyBegin => state.body = Some(item),
                    Spot::HeadEnd => state.head = Some(item),
                    Spot::At(..) | Spot::InputValue(_) => {}
                }
            }
        }
        if items.iter().any(|item| matches!(item.spot, Spot::BodyBegin | Spot::HeadEnd)) {
            // `*` always parses; without it only the selectors' places are found.
            if let Ok(every) = "*".parse::<Selector>() {
                settings = settings.append_element_content_handler(page_skeleton(every, &shared));
            }
        }
        for (item, Item { spot, .. }) in items.iter().enumerate() {
            if let Spot::At(selector, _) | Spot::InputValue(selector) = spot {
                let place = match spot {
                    Spot::At(_, place) => Some(*place),
                    _ => None,
                };
                let handlers = named_place(selector.0.clone(), item, place, &shared);
                settings = settings.append_element_content_handler(handlers);
            }
        }
        let rewriter = HtmlRewriter::new(settings, Settled(Arc::clone(&shared)));
        Self { rewriter, shared }
    }

    /// Searches the next chunk. Not to be called again once it was `done`.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Progress {
        // An error is our own sign that everything is found, or that the page is beyond the
        // parser's bounds; both end the search.
        let ended = self.rewriter.write(chunk).is_err();
        let mut state = lock(&self.shared);
        Progress {
            found: std::mem::take(&mut state.found),
            settled: state.settled,
            done: ended || state.missing == 0,
        }
    }

    /// Ends the search at the page's end.
    pub(super) fn end(self) -> Vec<Found> {
        let _ = self.rewriter.end();
        std::mem::take(&mut lock(&self.shared).found)
    }
}

/// Counts what the parser gives out: it changes nothing, so what came out is what went in.
struct Settled(Shared);

impl OutputSink for Settled {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        lock(&self.0).settled += chunk.len();
    }
}

type Handlers = (Cow<'static, Selector>, ElementContentHandlers<'static>);

/// Where the head ends and the body begins. HTML allows their tags to be left out: then the body
/// begins at the first element that cannot stand in a head.
fn page_skeleton(every: Selector, shared: &Shared) -> Handlers {
    let shared = Arc::clone(shared);
    let handlers =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
            let mut state = lock(&shared);
            if state.hidden > 0 || (state.body.is_none() && state.head.is_none()) {
                return Ok(());
            }
            let tag = element.source_location().bytes();
            match element.tag_name().as_str() {
                "head" => {
                    if let (true, Some(handlers)) =
                        (state.head.is_some(), element.end_tag_handlers())
                    {
                        handlers.push(at_head_end(&shared));
                    }
                }
                "template" => {
                    if let Some(handlers) = element.end_tag_handlers() {
                        state.hidden += 1;
                        let shared = Arc::clone(&shared);
                        handlers.push(Box::new(move |_| {
                            let mut state = lock(&shared);
                            state.hidden = state.hidden.saturating_sub(1);
                            Ok(())
                        }));
                    }
                }
                "html" | "title" | "meta" | "link" | "script" | "style" | "base" | "basefont"
                | "bgsound" | "noscript" | "noframes" => {}
                // A frameset has no body: its frames are pages of their own.
                "frameset" => {
                    let left_out = usize::from(state.body.take().is_some())
                        + usize::from(state.head.take().is_some());
                    state.missing -= left_out;
                }
                name => {
                    let offset = if name == "body" { tag.end } else { tag.start };
                    let (head, body) = (state.head.take(), state.body.take());
                    state.note(tag.start, head);
                    state.note(offset, body);
                }
            }
            state.result()
        });
    (Cow::Owned(every), handlers)
}

fn at_head_end(shared: &Shared) -> EndTagHandler<'static> {
    let shared = Arc::clone(shared);
    Box::new(move |end| {
        let mut state = lock(&shared);
        let head = state.head.take();
        state.note(end.source_location().bytes().start, head);
        state.result()
    })
}

/// The place that a selector names; `None` for the value of an input.
fn named_place(selector: Selector, item: usize, place: Option<Place>, shared: &Shared) -> Handlers {
    let shared = Arc::clone(shared);
    let mut wanted = Some(item);
    let handlers =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
            let Some(item) = wanted.take() else { return Ok(()) };
            let tag = element.source_location().bytes();
            let in_list = matches!(element.tag_name().as_str(), "ul" | "ol" | "menu");
            let mut state = lock(&shared);
            match place {
                None => {
                    state.note(tag.start + 1 + element.tag_name_preserve_case().len(), Some(item));
                }
                Some(Place::Before) => state.note(tag.start, Some(item)),
                Some(Place::Begin) if element.can_have_content() => {
                    state.note_in(tag.end, Some(item), in_list);
                }
                Some(place) => match element.end_tag_handlers() {
                    Some(handlers) => handlers.push(at_end_tag(item, place, in_list, &shared)),
                    // An element without content has no end tag either: right behind it.
                    None => state.note(tag.end, Some(item)),
                },
            }
            state.result()
        });
    (Cow::Owned(selector), handlers)
}

fn at_end_tag(item: usize, place: Place, in_list: bool, shared: &Shared) -> EndTagHandler<'static> {
    let shared = Arc::clone(shared);
    Box::new(move |end| {
        let tag = end.source_location().bytes();
        let mut state = lock(&shared);
        match place {
            Place::After => state.note(tag.end, Some(item)),
            _ => state.note_in(tag.start, Some(item), in_list),
        }
        state.result()
    })
}

impl State {
    fn note(&mut self, offset: usize, item: Option<usize>) {
        self.note_in(offset, item, false);
    }

    fn note_in(&mut self, offset: usize, item: Option<usize>, in_list: bool) {
        if let Some(item) = item {
            self.missing -= 1;
            // Several things may be found at one tag, its beginning after its end.
            let at = self.found.partition_point(|found| found.offset <= offset);
            self.found.insert(at, Found { offset, item, in_list });
        }
    }

    /// Tells the parser to stop once there is nothing left to find.
    fn result(&self) -> lol_html::HandlerResult {
        if self.missing == 0 { Err(Box::new(AllFound)) } else { Ok(()) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("all places are found")]
struct AllFound;

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
