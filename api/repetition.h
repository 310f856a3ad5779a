// Does a list have two equal elements? In n log n, without copying them: for lists whose length a stranger chose.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

namespace qkms::api {

// `projection` picks what is compared, for example a member.
template <class Element, class Projection = std::identity>
bool has_repetition(const std::vector<Element>& elements, Projection projection = {}) {
  std::vector<const Element*> order;
  order.reserve(elements.size());
  for (const Element& element : elements) order.push_back(&element);
  const auto key = [&](const Element* element) -> decltype(auto) { return std::invoke(projection, *element); };
  std::ranges::sort(order, std::ranges::less(), key);
  return std::ranges::adjacent_find(order, std::ranges::equal_to(), key) != order.end();
}

}  // namespace qkms::api
