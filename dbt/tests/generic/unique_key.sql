{# The columns together are a key: rows that share them are returned.
   Candidates are found by hash, which is several times cheaper than grouping millions of text keys. #}
{% test unique_key(model, columns) %}
{%- set key = columns | join(', ') %}
with shared as (
    select {{ hash_of(columns) }} as key_hash from {{ model }} group by 1 having count(*) > 1
)
select {{ key }}, count(*) as rows_with_key
from {{ model }}
where {{ hash_of(columns) }} in (select key_hash from shared)
group by {{ key }}
having count(*) > 1
{% endtest %}
