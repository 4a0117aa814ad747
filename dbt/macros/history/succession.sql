{#
    Where a code stands today: (code, current_code, succession_state) for each row of `listed` that a chain of successors
    leads away from itself, or that cannot be followed. Codes that are not listed here stand for themselves.

    listed: relation, one row a code, with `code`, `successor_code`, `effective_from`, `effective_to`.

    A succession holds from the day on which the old one ends (else on which the first successor begins); with neither day, always.
    succeeded: one code is left at the end of the chain. split: several are; there is no single current code. cycle: the chain
    runs into itself; it is left as it is. successor_unknown: the chain ends in a code that is not listed; it is left as it is.
#}
{% macro current_codes(listed) %}
with recursive link as (
    select l.code, n.next_code, l.effective_to
    from {{ listed }} as l
    inner join ({{ split_codes(listed, 'code', 'successor_code', 'next_code') }}) as n on l.code = n.code
), opened as (
    select l.code, coalesce(max(l.effective_to), min(s.effective_from)) as since
    from link as l
    left join {{ listed }} as s on l.next_code = s.code
    group by l.code
), step as (
    select l.code, l.next_code from link as l
    inner join opened as o on l.code = o.code
    where coalesce(o.since <= {{ day_of(as_of()) }}, true)
), walk as (
    select code, next_code as at_code, ',' || code || ',' as passed, next_code = code as is_cycle from step
    union
    select w.code, s.next_code, w.passed || w.at_code || ',',
        {{ dbt.position("',' || s.next_code || ','", "w.passed || w.at_code || ','") }} > 0
    from walk as w
    inner join step as s on w.at_code = s.code
    where not w.is_cycle
), reached as (
    select w.code, w.at_code, w.is_cycle, k.code is not null as is_known
    from walk as w
    left join {{ listed }} as k on w.at_code = k.code
    where w.is_cycle or w.at_code not in (select code from step)
), judged as (
    select code,
        case
            when max(case when is_cycle then 1 else 0 end) = 1 then 'cycle'
            when count(distinct at_code) > 1 then 'split'
            when min(case when is_known then 1 else 0 end) = 0 then 'successor_unknown'
            else 'succeeded'
        end as succession_state,
        min(at_code) as at_code
    from reached
    group by code
)

select code,
    case succession_state when 'split' then null when 'succeeded' then at_code else code end as current_code,
    succession_state
from judged
{% endmacro %}

{# One row for each code in a list of codes (comma of either width, enumeration comma or semicolon between them). #}
{% macro split_codes(rows, key, column, into) %}{{ return(adapter.dispatch('split_codes')(rows, key, column, into)) }}{% endmacro %}
{% macro default__split_codes(rows, key, column, into) -%}
    select distinct {{ key }}, {{ into }}
    from (select {{ key }}, trim(unnest(regexp_split_to_array({{ column }}, '[,，、;；]'))) as {{ into }} from {{ rows }} where {{ column }} is not null)
    where {{ into }} <> ''
{%- endmacro %}
